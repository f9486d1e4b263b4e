"""What certificates, keys and authorities must be, each by itself; dates are read here, and judged by who asks.

Every check raises SettingsInvalid, which names the setting and its file, and says what to do.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from sidecar.errors import SettingsInvalid
from sidecar.server.tls.pem import certificates_in

__all__ = ["authorities_of", "chain_of", "check_key", "first_end", "shown_dates", "shown_time"]

ENCRYPTED = (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED")

WITHOUT_TIME = ssl.VerifyFlags(0x200000)
"""X509_V_FLAG_NO_CHECK_TIME, which Python has no name for: the dates are read first and judged afterwards."""


def shown_time(seconds: float) -> str:
    """Return a time as RFC 3339, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def chain_of(content: bytes, path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the server's certificate, and those that follow it in the file: who signed it."""
    if b"----------BEGIN" in content:
        raise SettingsInvalid(
            f"tls_certificate {path} lacks a line end between two of its certificates, as cat leaves it: put each"
            " -----BEGIN on a line of its own.",
            field="tls_certificate",
        )
    leaf, *others = _readable(content, path, "tls_certificate")
    return leaf, tuple(others)


def first_end(certificates: Sequence[str]) -> float | None:
    """Return when the first of these authorities expires, in seconds since the epoch; None where there is none."""
    return min(_ends(certificates), default=None)


def check_key(content: bytes, path: Path) -> None:
    """Refuse what is no private key, or an encrypted one."""
    if any(sign in content for sign in ENCRYPTED):
        raise SettingsInvalid(
            f"tls_key {path} is encrypted, and a server that restarts by itself has nobody to ask for the passphrase:"
            " decrypt it (openssl pkey -in ENCRYPTED -out KEY) and guard it by the file's permissions.",
            field="tls_key",
        )
    if b"PRIVATE KEY-----" not in content:
        raise SettingsInvalid(
            f"tls_key {path} holds no private key: it must be PEM, -----BEGIN PRIVATE KEY----- and so on.",
            field="tls_key",
        )


def authorities_of(content: bytes, path: Path) -> tuple[str, float | None]:
    """Return the certificates that clients' are checked against, and when the last authority among them expires."""
    found = _readable(content, path, "tls_client_ca")
    # A client's own certificate, trusted by itself, has no date here.
    expires_at = max(_ends(found), default=None)
    if expires_at is not None and expires_at <= time.time():
        raise SettingsInvalid(
            f"tls_client_ca {path} expired at {shown_time(expires_at)}: no client would be let in. Put the authority's"
            " new certificate there.",
            field="tls_client_ca",
        )
    return "\n".join(found), expires_at


def shown_dates(server: ssl.SSLContext, leaf: str) -> tuple[float, float]:
    """Return when the certificate that `server` shows begins and ends to be valid, in seconds since the epoch.

    It is greeted in memory, by a client that trusts `leaf` and looks at no date. Raises ssl.SSLError where no handshake
    comes of it.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | WITHOUT_TIME
    client.load_verify_locations(cadata=leaf)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    caller, answerer = client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True)
    waiting = [caller, answerer]
    while waiting:
        side = waiting.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(side)
    shown = caller.getpeercert()
    if shown is None:
        raise AssertionError("A client that was shown a certificate has none; this is a bug.")
    begins_at, ends_at = (ssl.cert_time_to_seconds(str(shown[key])) for key in ("notBefore", "notAfter"))
    return float(begins_at), float(ends_at)


def _readable(content: bytes, path: Path, setting: str) -> list[str]:
    found = certificates_in(content)
    try:
        for one in found:
            # One by one: of several, OpenSSL takes those before the first that is damaged, and says nothing.
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=one)
    except (ssl.SSLError, ValueError):
        found = []
    if not found:
        raise SettingsInvalid(
            f"{setting} {path} holds no certificate, or a damaged one: it must be PEM, -----BEGIN CERTIFICATE-----"
            " and so on.",
            field=setting,
        )
    return found


def _ends(certificates: Sequence[str]) -> list[float]:
    if not certificates:
        return []
    store = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    store.load_verify_locations(cadata="\n".join(certificates))
    # The store lists authorities only.
    return [float(ssl.cert_time_to_seconds(str(one["notAfter"]))) for one in store.get_ca_certs()]
