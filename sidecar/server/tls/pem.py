"""PEM as it lies in files: which certificates there are, and the same without what stands around them."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from typing import Self

__all__ = ["Contents", "certificates_in"]

PEM_LINE = 64

CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
KEY = re.compile(rb"-----BEGIN ((?:RSA |EC )?PRIVATE KEY)-----(.+?)-----END \1-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Contents:
    """What was in the files, PEM."""

    certificate: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None

    def plain(self) -> Self:
        """Return the same without what stands around certificates and key, once they were checked.

        BoringSSL stumbles over a byte order mark, or blanks at the beginning of a line, that OpenSSL passes over.
        """
        key = KEY.search(self.key)
        if key is None:
            raise AssertionError("A key that was taken is none; this is a bug.")
        label, body = key[1], b"".join(key[2].split())
        lines = [body[at : at + PEM_LINE] for at in range(0, len(body), PEM_LINE)]
        return type(self)(
            _plain_certificates(self.certificate),
            b"\n".join((b"-----BEGIN " + label + b"-----", *lines, b"-----END " + label + b"-----", b"")),
            None if self.client_ca is None else _plain_certificates(self.client_ca),
        )


def certificates_in(content: bytes) -> list[str]:
    """Return every certificate of a file, PEM, in its order; whether each can be read is not looked at."""
    return CERTIFICATE.findall(content.decode("ascii", "replace"))


def _plain_certificates(content: bytes) -> bytes:
    return "".join(ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(one)) for one in certificates_in(content)).encode()
