"""A signer whose credentials are the test's own."""

from __future__ import annotations

from collections.abc import Callable

from botocore.credentials import Credentials

from sidecar.engine.aws import AwsSigning
from sidecar.engine.signing import Signer

HERE = AwsSigning("eu-central-1")
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
JSON = {"content-type": "application/json"}


async def ready(find: Callable[[], Credentials | None], where: AwsSigning = HERE) -> Signer:
    """A signer that has looked for its credentials."""
    signer = Signer(where, find)
    await signer.ready()
    return signer
