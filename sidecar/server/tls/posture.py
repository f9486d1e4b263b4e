"""What the settings make of the data ports, in words: for the log, `/buildinfo`, and warnings."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.settings import LOOPBACK, Settings

__all__ = ["posture", "warnings"]


def posture(settings: Settings) -> dict[str, str]:
    """Return for each data port `off`, `on`, or `mutual` where clients show a certificate too."""
    if settings.tls_certificate is None:
        return {"grpc": "off", "http": "off"}
    if settings.tls_client_ca is None:
        return {"grpc": "on", "http": "on"}
    return {"grpc": "mutual", "http": "mutual" if settings.tls_http_mutual else "on"}


def warnings(settings: Settings) -> Iterator[str]:
    """Yield what is wrong with ports that other machines reach: nobody is asked who he is, or a token can be read."""
    if settings.bind in LOOPBACK:
        return
    ports = posture(settings)
    if settings.auth_token is None:
        asking = [port for port, tls in ports.items() if tls == "mutual"]
        if not asking:
            yield "open to the network without a token"
        elif len(asking) < len(ports):
            yield "the HTTP port is open to the network without a token or client certificates"
    elif settings.tls_certificate is None:
        yield "the token crosses the network unencrypted: set tls_certificate and tls_key"
