"""Why no connection came about, or an answer was cut off: in words for whoever has to mend it."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Mapping

from aiohttp import ClientConnectorCertificateError, ClientConnectorSSLError, ClientOSError, ServerDisconnectedError

from sidecar.errors import EngineUnavailable

__all__ = ["without_connection"]

UNKNOWN_AUTHORITY = "its certificate is not signed by a known authority"

_OF_CERTIFICATES: Mapping[int, str] = {
    9: "a certificate that it shows is not valid yet: compare the clocks of both machines",
    10: "a certificate that it shows has expired: have it renewed there",
    62: "its certificate does not name that address: reach it by a name that is in the certificate",
    64: "its certificate does not name that address: reach it by a name that is in the certificate",
}
"""OpenSSL's codes (X509_V_ERR_CERT_NOT_YET_VALID, _CERT_HAS_EXPIRED, _HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH)."""


def without_connection(met: object, address: str) -> EngineUnavailable:
    """Return the error of ours for what aiohttp met where it connected, or waited for an answer."""
    match met:
        case ClientConnectorCertificateError():
            return EngineUnavailable(f"TLS to {address} failed: {_of_certificate(met.certificate_error)}.")
        case ClientConnectorSSLError():
            reason = getattr(met.os_error, "reason", None) or type(met.os_error).__name__
            return EngineUnavailable(
                f"TLS to {address} failed ({reason}): does that port speak plain HTTP, or ask for a client certificate?"
            )
        case ServerDisconnectedError() | ClientOSError(errno=errno.ECONNRESET):
            asked = "does it ask for a client certificate" if address.startswith("https:") else "does it speak https"
            return EngineUnavailable(
                f"What answers at {address} closed the connection without an answer. Where it always does: {asked}?",
                retry_after=1.0,
            )
        case _ if " alert " in str(met).lower():
            # The other side's word: TLS 1.3 hears of it after its own handshake.
            return EngineUnavailable(
                f"What answers at {address} refuses the TLS connection: does it ask for a client certificate, or for"
                " another one than it is shown?"
            )
        case _ if "certificate" in str(met).lower():
            return EngineUnavailable(f"TLS to {address} failed: {UNKNOWN_AUTHORITY}.")
        case _:
            return EngineUnavailable(f"No cluster answers at {address} ({type(met).__name__}).", retry_after=1.0)


def _of_certificate(error: Exception) -> str:
    if not isinstance(error, ssl.SSLCertVerificationError):
        return UNKNOWN_AUTHORITY
    known = _OF_CERTIFICATES.get(error.verify_code)
    return known or f"{UNKNOWN_AUTHORITY} ({error.verify_message}): give the authority that signed it"
