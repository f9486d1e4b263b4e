"""The way of the spans to a collector; what the OTEL_… variables say is checked before it is begun."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog

from sidecar.errors import SettingsInvalid
from sidecar.settings import Settings

if TYPE_CHECKING:
    from sidecar.server.tracing.exporting import Exporting

__all__ = ["FLUSH_SECONDS", "check_tracing", "open_tracing"]

FLUSH_SECONDS = 3.0
"""What the last spans get to reach the collector, after the last call has ended."""

DEFAULT_ENDPOINT = "http://localhost:4317"

PREFIX = "OTEL_EXPORTER_OTLP_"

FILES = ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY")

log = structlog.get_logger(__name__)


def open_tracing(settings: Settings) -> Exporting | None:
    """Set up the process's tracing as `tracing` and the OTEL_… variables say; None where it is off.

    Raises SettingsInvalid.
    """
    if settings.tracing == "off":
        return None
    endpoint = check_tracing(settings)
    from sidecar.server.tracing.exporting import Exporting

    try:
        opened = Exporting()
    except (ValueError, KeyError, RuntimeError, OSError) as error:
        raise _refused(f"opentelemetry can't do with its OTEL_… variables: {error}.") from None
    log.info("tracing", endpoint=endpoint, own=opened.own)
    return opened


def check_tracing(settings: Settings) -> str:
    """Return where spans would go; empty where tracing is off. Raises SettingsInvalid where they could not."""
    if settings.tracing == "off":
        return ""
    try:
        import opentelemetry.exporter.otlp.proto.grpc.trace_exporter
        import opentelemetry.sdk.trace  # noqa: F401 - whether they are there
    except ImportError:
        raise _refused("it needs opentelemetry: pip install 'splade-sidecar[tracing]'.") from None
    return checked_endpoint(os.environ)


def checked_endpoint(variables: Mapping[str, str]) -> str:
    """Return the collector's address by opentelemetry's environment variables, without credentials.

    Raises SettingsInvalid for what the exporter would only complain of later, or never: another protocol than gRPC, an
    address without a scheme, a file that can't be read, a time that is no number.
    """
    protocol, name = _variable(variables, "PROTOCOL")
    if protocol not in (None, "grpc"):
        raise _refused(f"spans are sent by gRPC alone. Unset {name}, and name the collector's gRPC port (4317).")
    endpoint, name = _variable(variables, "ENDPOINT")
    endpoint = endpoint or DEFAULT_ENDPOINT
    try:
        address = urlsplit(endpoint)
        usable = address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise _refused(f"{name} must be http://HOST:PORT, or https://HOST:PORT for TLS.")
    for what in FILES:
        path, name = _variable(variables, what)
        if path is not None:
            _check_file(Path(path), name)
    seconds, name = _variable(variables, "TIMEOUT")
    if seconds is not None and not _is_positive(seconds):
        raise _refused(f"{name} must be a number of seconds above 0.")
    return f"{address.scheme}://{address.netloc.rpartition('@')[2]}"


def _variable(variables: Mapping[str, str], what: str) -> tuple[str | None, str]:
    """Return the value that holds for traces, None where there is none, and the variable that has it."""
    for name in (f"{PREFIX}TRACES_{what}", f"{PREFIX}{what}"):
        value = variables.get(name, "").strip()
        if value:
            return value, name
    return None, f"{PREFIX}{what}"


def _check_file(path: Path, name: str) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise _refused(f"{name} {path} can't be read: {error.strerror}.") from None


def _is_positive(text: str) -> bool:
    try:
        return float(text) > 0.0
    except ValueError:
        return False


def _refused(why: str) -> SettingsInvalid:
    return SettingsInvalid(f"Setting tracing: {why}", field="tracing")
