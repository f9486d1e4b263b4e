"""Who signs for whom: the region and the service of AWS that requests are signed for, and what does not go together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import urlsplit

from sidecar.errors import InvalidInput

__all__ = ["DOMAINS", "SERVERLESS", "AwsSigning"]

DOMAINS = "es"
SERVERLESS = "aoss"
"""Names by which AWS signs: a domain of Amazon OpenSearch Service, a collection of OpenSearch Serverless."""

_REGION = re.compile(r"[a-z]{2,}(-[a-z0-9]+)+")

_ENDPOINT = re.compile(r"\.(?P<region>[a-z0-9-]+)\.(?P<service>es|aoss)\.amazonaws\.com(\.cn)?")
"""How the addresses end that AWS gives by itself. A domain may have others: its own name, or a dual-stack one."""


@dataclass(frozen=True, slots=True)
class AwsSigning:
    """Requests are signed by AWS Signature Version 4, for a region (`eu-central-1`) and a service (`es` or `aoss`).

    Raises InvalidInput for a region or a service that is none, and where botocore is not installed.

    Usage:
        AwsSigning("eu-central-1")
    """

    region: str
    service: str = DOMAINS

    def __post_init__(self) -> None:
        if not _REGION.fullmatch(self.region):
            raise InvalidInput("The region of AWS must look like eu-central-1.", field="aws_region")
        if self.service not in (DOMAINS, SERVERLESS):
            raise InvalidInput(
                f"Requests are signed for {DOMAINS} (a domain of OpenSearch Service) or {SERVERLESS} (OpenSearch"
                " Serverless).",
                field="aws_service",
            )
        if find_spec("botocore") is None:
            raise InvalidInput(
                "Requests can't be signed for AWS without botocore: pip install 'splade-sidecar[aws]'.",
                field="aws_region",
            )

    @classmethod
    def of(cls, region: str | None, service: str = DOMAINS) -> AwsSigning | None:
        """Return what options ask for; None without a region. Raises InvalidInput for Serverless without one, too."""
        if region is not None:
            return cls(region, service)
        if service != DOMAINS:
            raise InvalidInput("Whoever signs for a service of AWS names its region, too.", field="aws_region")
        return None

    @property
    def serverless(self) -> bool:
        """Whether a collection of OpenSearch Serverless answers, which has no `GET /`."""
        return self.service == SERVERLESS

    def require_endpoint(self, urls: Sequence[str]) -> None:
        """Raise InvalidInput where an address that AWS gave out names another region or service."""
        for url in urls:
            found = _ENDPOINT.search(urlsplit(url).hostname or "")
            if found is None or found.end() != len(found.string):
                continue
            if found["region"] != self.region:
                raise InvalidInput(
                    f"The cluster's address is one in {found['region']}, and requests are to be signed for"
                    f" {self.region}: AWS would refuse each of them.",
                    field="aws_region",
                )
            if found["service"] != self.service:
                raise InvalidInput(
                    f"The cluster's address is one of the service {found['service']}, and requests are to be signed for"
                    f" {self.service}: AWS would refuse each of them.",
                    field="aws_service",
                )
