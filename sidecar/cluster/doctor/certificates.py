"""Check of what a sidecar shows over TLS: its certificate, and those that signed it, which expire as well."""

from __future__ import annotations

import asyncio
import ssl
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sidecar.cluster.doctor.findings import Finding, Severity

__all__ = ["check_certificates"]

CHECK = "certificate"
TIMEOUT_SECONDS = 10.0
SOON_SECONDS = 7 * 86_400.0
"""As the chart's alert has it: whoever renews by himself has done so before."""

WITHOUT_TIME = ssl.VerifyFlags(0x200000)
"""X509_V_FLAG_NO_CHECK_TIME, which Python has no name for: whatever has expired is to be told, not refused."""

DER = 2
"""How `ssl` says that a certificate is wanted in binary."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """One certificate, and when it expires, in seconds since the epoch."""

    what: str
    ends_at: float


async def check_certificates(host: str, port: int, tls: ssl.SSLContext) -> tuple[Finding, ...]:
    """Look at what is shown at an address, and tell of what has expired, or will within a week.

    Nothing is sent there, and no name or signature is looked at: whoever calls the sidecar does that. `tls` holds what
    is to be shown there; it is of no use to others afterwards. Where no handshake comes of it there are no findings:
    the calls that doctor makes tell why.
    """
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            shown = await _shown_at(host, port, tls)
    except (OSError, TimeoutError):
        return ()
    first = min(shown, key=lambda one: one.ends_at)
    return tuple(_told(f"{host}:{port}", first, time.time()))


async def _shown_at(host: str, port: int, tls: ssl.SSLContext) -> list[_Shown]:
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    # A gRPC port hangs up on those who do not speak HTTP/2.
    tls.set_alpn_protocols(["h2", "http/1.1"])
    leaf, *others = _chain(await _greet(host, port, tls))
    # Only what was verified has its dates told: by itself, with nobody's signature.
    tls.load_verify_locations(cadata=leaf)
    tls.verify_flags = ssl.VERIFY_X509_PARTIAL_CHAIN | WITHOUT_TIME
    tls.verify_mode = ssl.CERT_REQUIRED
    dates = (await _greet(host, port, tls)).getpeercert()
    if not dates:
        raise AssertionError("A certificate that was verified has no dates; this is a bug.")
    return [_Shown("The certificate that is shown", _ends_at(dates)), *_authorities(others)]


async def _greet(host: str, port: int, tls: ssl.SSLContext) -> ssl.SSLObject:
    _, writer = await asyncio.open_connection(host, port, ssl=tls)
    shown: ssl.SSLObject = writer.get_extra_info("ssl_object")
    writer.transport.abort()
    return shown


def _chain(shown: ssl.SSLObject) -> list[bytes]:
    if sys.version_info >= (3, 13):
        return shown.get_unverified_chain()
    # What the method of that name does, which came with Python 3.13.
    inner = shown._sslobj  # type: ignore[attr-defined]
    return [one.public_bytes(DER) for one in inner.get_unverified_chain()]


def _authorities(certificates: list[bytes]) -> Iterator[_Shown]:
    for certificate in certificates:
        store = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        store.load_verify_locations(cadata=certificate)
        # None, where it is no authority, and so signed nothing.
        for authority in store.get_ca_certs():
            what = f"A certificate of an authority ({_name(authority)}), which is shown after the server's own,"
            yield _Shown(what, _ends_at(authority))


def _name(certificate: Mapping[str, object]) -> str:
    subject = certificate.get("subject")
    parts = subject if isinstance(subject, tuple) else ()
    return next((value for part in parts for key, value in part if key == "commonName"), "without a name")


def _ends_at(certificate: Mapping[str, object]) -> float:
    return float(ssl.cert_time_to_seconds(str(certificate["notAfter"])))


def _told(address: str, first: _Shown, now: float) -> Iterator[Finding]:
    if first.ends_at - now > SOON_SECONDS:
        return
    expired = first.ends_at <= now
    when = datetime.fromtimestamp(first.ends_at, UTC).isoformat()
    yield Finding(
        CHECK,
        Severity.ERROR if expired else Severity.WARNING,
        f"{first.what} at {address} {'expired' if expired else 'expires'} at {when}.",
        "Clients refuse the connection" + ("." if expired else " from then on."),
        "Have it renewed, with those that signed it: the sidecar takes new files without a restart.",
    )
