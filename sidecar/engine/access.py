"""Where a cluster is, and who we are there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from sidecar.engine.aws import AwsSigning
from sidecar.errors import InvalidInput

__all__ = ["CONNECTIONS", "Access", "is_http_address"]

CONNECTIONS = 64
"""To each node, at most: requests beyond wait for one of them, in the time that they have. Of opensearch-py's own ten,
nobody would see the queue."""

API_KEY = re.compile(r"[\w+/=-]+(:[\w+/=-]+)?", re.ASCII)
"""A key as Elasticsearch shows it: in base64, or its id and the key itself."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where a cluster is and who we are there. Several nodes: URLs joined by commas, each with so many `connections`.

    `api_key` is for Elasticsearch, in place of user and password: what it gave as `encoded`, or `id:api_key`; `aws` is
    for OpenSearch Service, in place of either. Raises InvalidInput where two are given, the key is none, the address is
    one of another region or service of AWS, and for no connection.

    Usage:
        Access("https://search.example:9200", user="backfill", password="…", ca_certificates=Path("ca.pem"))
    """

    url: str
    user: str | None = None
    password: str | None = None
    api_key: str | None = None
    ca_certificates: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    verify_certificates: bool = True
    timeout: float = 10.0
    connections: int = CONNECTIONS
    aws: AwsSigning | None = None

    def __post_init__(self) -> None:
        if self.connections < 1:
            raise InvalidInput("At least one connection to each node is needed.", field="connections")
        named = any("@" in urlsplit(url).netloc for url in self.urls) or self.user is not None
        if self.aws is not None:
            if named or self.api_key is not None:
                raise InvalidInput(
                    "A signature stands for a user and password, or an API key: give one of them.", field="aws_region"
                )
            self.aws.require_endpoint(self.urls)
        if self.api_key is None:
            return
        if named:
            raise InvalidInput("An API key stands for a user and password: give one or the other.", field="api_key")
        if not API_KEY.fullmatch(self.api_key):
            raise InvalidInput(
                "The API key is none: it is what the cluster gave as `encoded`, or `id:api_key`.", field="api_key"
            )

    def __repr__(self) -> str:
        return f"Access({self.shown})"

    @property
    def shown(self) -> str:
        """The address without credentials, for messages."""
        return ", ".join(_without_credentials(url) for url in self.urls)

    @property
    def urls(self) -> list[str]:
        """One URL per node; raises InvalidInput for something that is none."""
        urls = [part.strip().rstrip("/") for part in self.url.split(",") if part.strip()]
        if not all(map(is_http_address, urls)):
            raise InvalidInput("The engine's address must look like http://host:9200.", field="engine")
        if not urls:
            raise InvalidInput("The engine's address is empty.", field="engine")
        return urls


def is_http_address(url: str) -> bool:
    """Return whether a URL names a host to speak HTTP with, and a port that there can be, if it names one."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        # Brackets that are not closed, or a port that is no number, as a / in a password makes one.
        return False


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
