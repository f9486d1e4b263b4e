"""Arguments that would only show by calls that fail: refused when a client is made."""

from __future__ import annotations

import re

from sidecar.errors import InvalidInput

__all__ = ["check_certificates", "check_target", "check_token"]

LARGEST_PORT = 65_535

_URL = re.compile(r"(https?|grpcs?)://", re.IGNORECASE)
_PORT = re.compile(r":(\d+)$")
_TOKEN = re.compile(r"[\x20-\x7e]*")

BEGIN = b"-----BEGIN CERTIFICATE-----"


def check_target(target: object) -> None:
    """Raise InvalidInput for an address that is empty, a URL, or has a port that does not exist."""
    if not isinstance(target, str) or not target.strip():
        raise InvalidInput("The sidecar's address is empty: give host:port.", field="target")
    if _URL.match(target):
        raise InvalidInput(
            "The sidecar's address is host:port, without http:// or the like; `tls` or `root_certificates` switch TLS"
            " on.",
            field="target",
        )
    port = _PORT.search(target)
    if port is not None and int(port[1]) > LARGEST_PORT:
        raise InvalidInput(f"The sidecar's address has a port beyond {LARGEST_PORT:,}.", field="target")


def check_token(token: str | None) -> None:
    """Raise InvalidInput for a token that can't travel in a header."""
    if token is not None and _TOKEN.fullmatch(token) is None:
        raise InvalidInput(
            "The sidecar's token may hold printable ASCII characters only: is there a line break at the end of the file"
            " that it was read from?",
            field="token",
        )


def check_certificates(root_certificates: bytes | None) -> None:
    """Raise InvalidInput for what is no PEM."""
    if root_certificates is not None and (not isinstance(root_certificates, bytes) or BEGIN not in root_certificates):
        raise InvalidInput(
            "The sidecar's root certificates must be the bytes of a PEM file: -----BEGIN CERTIFICATE----- …",
            field="root_certificates",
        )
