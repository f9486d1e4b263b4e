"""opentelemetry's SDK with its OTLP exporter, as the process's provider of tracers."""

from __future__ import annotations

import threading

import structlog
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from sidecar import __version__
from sidecar.tracing.spans import configured

__all__ = ["Exporting", "resource"]

NAME = "splade-sidecar"
"""The service's name where OTEL_SERVICE_NAME has none."""

UNNAMED = "unknown_service"

AFTERTHOUGHT_SECONDS = 0.5
"""For the exporter's thread to notice that it was cut off."""

log = structlog.get_logger(__name__)


class Exporting:
    """Spans of this process, in batches and by a thread of their own, to the collector that OTEL_… variables name.

    What can't be sent is kept until OTEL_BSP_MAX_QUEUE_SIZE spans wait (2,048), then dropped; no call waits for it.
    Where the process has a provider already (it was started by `opentelemetry-instrument`), that one is used and left
    as it is: `own` is False.
    """

    def __init__(self) -> None:
        self.own = not configured()
        if not self.own:
            return
        self._exporter = OTLPSpanExporter()
        self._provider = TracerProvider(resource=resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        trace.set_tracer_provider(self._provider)

    def close(self, seconds: float) -> None:
        """Send what is left, for `seconds` at most; blocks."""
        if not self.own:
            return
        # In a thread that may be left behind: the SDK waits for half a minute.
        closing = threading.Thread(target=self._provider.shutdown, name="tracing-close", daemon=True)
        closing.start()
        closing.join(seconds)
        if closing.is_alive():
            log.warning("the last spans were not sent in time", seconds=seconds)
            self._exporter.shutdown()
            closing.join(AFTERTHOUGHT_SECONDS)


def resource() -> Resource:
    """Describe this process as the OTEL_… variables say; the service has a name and a version in any case."""
    found = Resource.create({SERVICE_VERSION: __version__})
    if str(found.attributes.get(SERVICE_NAME, UNNAMED)).startswith(UNNAMED):
        found = found.merge(Resource({SERVICE_NAME: NAME}))
    return found
