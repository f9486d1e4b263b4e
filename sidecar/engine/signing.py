"""Signatures for AWS: botocore's Signature Version 4, with the credentials that its default chain finds.

Signed is what every way to a cluster leaves alone: method, host, path, query, content type and the body's hash. Other
headers (`connection`, `traceparent`) belong to whoever forwards a request, and signing them breaks it there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Protocol, TypeVar
from urllib.parse import quote, urlencode

from opensearchpy.exceptions import AuthorizationException

from sidecar.engine.aws import AwsSigning
from sidecar.errors import EngineError, EngineRejected, EngineUnavailable

__all__ = ["Keys", "Signer", "may_be_outdated", "with_query"]

CREDENTIAL_SECONDS = 20.0
"""How long credentials may be looked for, or renewed: the instance's metadata, a token service."""

TOLD = frozenset({"ProfileNotFound", "PartialCredentialsError", "ConfigParseError", "UnauthorizedSSOTokenError"})
"""Errors of botocore whose messages name a profile or a file, and nothing that was in it."""

Found = TypeVar("Found")


class Keys(Protocol):
    """Credentials at one moment: they never change."""

    access_key: str
    secret_key: str
    token: str | None


class Credentials(Protocol):
    """Credentials as botocore holds them; those that expire renew themselves when they are asked for keys."""

    def get_frozen_credentials(self) -> Keys: ...


class Signer:
    """Signs the requests of one client, in one event loop: `ready` first, which may wait; the call itself never does.

    Credentials are looked for with the first request, never shown, and renewed before they expire.

    Usage:
        signer = Signer(AwsSigning("eu-central-1"))
        await signer.ready()
        headers = signer("GET", "https://search.example/_search", b"{}", {"content-type": "application/json"})
    """

    def __init__(self, signing: AwsSigning, find: Callable[[], Credentials | None] | None = None) -> None:
        self._signing = signing
        self._find = find or _by_default_chain
        self._credentials: Credentials | None = None
        self._keys: Keys | None = None
        self._looking = asyncio.Lock()
        _keep_out_of_logs()

    async def ready(self) -> Keys:
        """Have keys that hold now, and return them.

        Raises EngineRejected where there are no credentials, EngineUnavailable where whoever gives them does not
        answer.
        """
        credentials = self._credentials
        if credentials is None:
            async with self._looking:
                credentials = self._credentials or await self._look()
        if _wants_renewal(credentials):
            # Asks a service of AWS; botocore lets one of many that ask do so.
            self._keys = await _elsewhere(credentials.get_frozen_credentials)
        else:
            self._keys = credentials.get_frozen_credentials()
        return self._keys

    async def renewed(self, used: Keys) -> bool:
        """Look again after `used` were refused, and return whether there are others now.

        Whoever keeps keys in a file or hands them out by the environment changes them there. Credentials that renew
        themselves are left alone.
        """
        async with self._looking:
            if self._credentials is not None and hasattr(self._credentials, "refresh_needed"):
                return False
            if self._keys == used:
                credentials = await self._look()
                self._keys = await _elsewhere(credentials.get_frozen_credentials)
        return self._keys != used

    def __call__(
        self, method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Return the headers to add: the signature, its date, the body's hash, and the session's token if there is one.

        `url` is as it is sent, `headers` are all that are sent; called by opensearch-py with each request.
        """
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        assert self._keys is not None, "ready() comes first; this is a bug."
        signed = {name: value for name, value in (headers or {}).items() if name.lower() == "content-type"}
        # Serverless demands the hash as a header, too.
        signed["x-amz-content-sha256"] = sha256(body or b"").hexdigest()
        request = AWSRequest(method=method.upper(), url=url, headers=signed)
        SigV4Auth(self._keys, self._signing.service, self._signing.region).add_auth(request)
        return dict(request.headers.items())

    async def _look(self) -> Credentials:
        found = await _elsewhere(self._find)
        if found is None:
            raise EngineRejected(
                "There are no credentials to sign for AWS with: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or"
                " AWS_PROFILE, or run where a role is given (instance, container, web identity)."
            )
        self._credentials = found
        return found


def with_query(path: str, parameters: Mapping[str, str] | None) -> str:
    """Return the path with its parameters, spaces as `%20`.

    Of a `+`, which is what opensearch-py makes of a space, signers and AWS understand different things.
    """
    if not parameters:
        return path
    return f"{path}{'&' if '?' in path else '?'}{urlencode(parameters, quote_via=quote)}"


def may_be_outdated(error: AuthorizationException) -> bool:
    """Return whether AWS refused the credentials themselves; Serverless never says what it refuses."""
    told = str(error.error).lower()
    return "security token" in told or "403 forbidden" in told


def _keep_out_of_logs() -> None:
    """Its debug lines hold session tokens and whole answers of token services: only who asks for them gets them."""
    logger = logging.getLogger("botocore")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)


def _by_default_chain() -> Credentials | None:
    import botocore.session

    found: Credentials | None = botocore.session.Session().get_credentials()
    return found


def _wants_renewal(credentials: Credentials) -> bool:
    needed = getattr(credentials, "refresh_needed", None)
    return needed is not None and bool(needed())


async def _elsewhere(function: Callable[[], Found]) -> Found:
    """Run in a thread what reads files and asks services; errors of botocore as errors of ours."""
    try:
        async with asyncio.timeout(CREDENTIAL_SECONDS):
            return await asyncio.to_thread(function)
    except TimeoutError:
        raise EngineUnavailable(
            f"AWS gave no credentials within {CREDENTIAL_SECONDS:g} s: is the token service, or the instance's"
            " metadata, reached from here?",
            retry_after=1.0,
        ) from None
    except EngineError:
        raise
    except Exception as error:
        raise _told(error) from error


def _told(error: Exception) -> EngineError:
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        CredentialRetrievalError,
        HTTPClientError,
        MetadataRetrievalError,
    )
    from botocore.exceptions import ConnectionError as BotoConnectionError

    kind = type(error).__name__
    match error:
        case HTTPClientError() | BotoConnectionError() | CredentialRetrievalError() | MetadataRetrievalError():
            return EngineUnavailable(f"Credentials for AWS could not be had ({kind}): try again.", retry_after=1.0)
        case ClientError():
            code = str(error.response.get("Error", {}).get("Code", ""))
            return EngineRejected(
                f"AWS gives no credentials: {error.operation_name} is answered by {code}. Check the role, and who may"
                " take it."
            )
        case BotoCoreError():
            shown = f"{error}" if kind in TOLD else kind
            return EngineRejected(f"There are no credentials to sign for AWS with: {shown.rstrip('.')}.")
        case RuntimeError():
            # botocore's word for credentials that were renewed and have expired all the same.
            return EngineUnavailable("The credentials for AWS have expired and are not renewed.", retry_after=1.0)
        case _:
            raise error
