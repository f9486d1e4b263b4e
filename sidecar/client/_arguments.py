"""Arguments that would only show by calls that fail: refused where they are given."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from sidecar.errors import InvalidInput

__all__ = ["check_connection", "one_text", "several_texts"]

LARGEST_PORT = 65_535

_URL = re.compile(r"(https?|grpcs?)://", re.IGNORECASE)
_PORT = re.compile(r":(\d+)$")
_TOKEN = re.compile(r"[\x20-\x7e]*")

BEGIN = b"-----BEGIN CERTIFICATE-----"


def check_connection(
    target: str,
    token: str | None,
    root_certificates: bytes | None,
    certificate_chain: bytes | None,
    private_key: bytes | None,
) -> None:
    """Raise InvalidInput for an address, token or certificate that can't be meant."""
    _check_target(target)
    _check_token(token)
    _check_certificates(root_certificates)
    _check_identity(certificate_chain, private_key)


def _check_target(target: object) -> None:
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


def _check_token(token: str | None) -> None:
    """Raise InvalidInput for a token that can't travel in a header."""
    if token is not None and _TOKEN.fullmatch(token) is None:
        raise InvalidInput(
            "The sidecar's token may hold printable ASCII characters only: is there a line break at the end of the file"
            " that it was read from?",
            field="token",
        )


def _check_certificates(root_certificates: bytes | None) -> None:
    """Raise InvalidInput for what is no PEM."""
    if root_certificates is not None and (not isinstance(root_certificates, bytes) or BEGIN not in root_certificates):
        raise InvalidInput(
            "The sidecar's root certificates must be the bytes of a PEM file: -----BEGIN CERTIFICATE----- …",
            field="root_certificates",
        )


def _check_identity(certificate_chain: bytes | None, private_key: bytes | None) -> None:
    """Raise InvalidInput unless both are there, as PEM, or none: gRPC would only say that nobody answers."""
    if certificate_chain is None and private_key is None:
        return
    if certificate_chain is None or private_key is None:
        lacking = "certificate_chain" if certificate_chain is None else "private_key"
        raise InvalidInput(
            "A client that shows a certificate needs its private key, and the other way round: give certificate_chain"
            " and private_key.",
            field=lacking,
        )
    if BEGIN not in certificate_chain:
        raise InvalidInput("certificate_chain must be the bytes of a PEM file.", field="certificate_chain")
    if b"PRIVATE KEY-----" not in private_key or b"ENCRYPTED" in private_key:
        raise InvalidInput(
            "private_key must be the bytes of a PEM file that is not encrypted (openssl pkey -in ENCRYPTED -out KEY).",
            field="private_key",
        )


def several_texts(texts: Sequence[str], field: str) -> tuple[str, ...]:
    """Return the texts; raise InvalidInput for one text, for what is none among them, and for what holds none."""
    # A str is a sequence of str too, and one call per character is nobody's intention.
    if isinstance(texts, str):
        raise InvalidInput(f"{field} must be a sequence of texts, not one text: put it in a list.", field=field)
    if not isinstance(texts, Iterable):
        raise InvalidInput(f"{field} must be a sequence of texts, not {type(texts).__name__}.", field=field)
    return tuple(one_text(text, f"{field}[{place}]") for place, text in enumerate(texts))


def one_text(text: str, field: str) -> str:
    """Return the text; raise InvalidInput for what is no string."""
    if not isinstance(text, str):
        raise InvalidInput(f"{field} is no string.", field=field)
    return text
