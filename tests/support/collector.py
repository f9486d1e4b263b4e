"""A collector of spans: a real gRPC server that answers OTLP's TraceService and keeps what it is sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import grpc
import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as rpc
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

__all__ = ["SAMPLED", "SPAN_ID", "TRACE_ID", "Collector", "Received", "caller", "collector", "spans_here", "wait_until"]

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"

SAMPLED = f"00-{TRACE_ID}-{SPAN_ID}-01"
"""A caller's traceparent, as the W3C's recommendation has it."""


def caller(trace_id: str = TRACE_ID, *, sampled: bool = True) -> str:
    """Return the traceparent of a caller in some trace."""
    return f"00-{trace_id}-{SPAN_ID}-0{int(sampled)}"


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)


@dataclass(frozen=True)
class Received:
    """A span as it came in; ids in hexadecimal, times in nanoseconds since the epoch."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: str
    begin: int
    end: int
    status: str
    message: str
    attributes: dict[str, object]
    events: int
    resource: dict[str, object]
    scope: str
    raw: bytes = field(repr=False)


class Collector(rpc.TraceServiceServicer):
    """Serves on a free port, or on `port`; `delay` is how many seconds each export waits for its answer."""

    def __init__(self, port: int = 0, *, delay: float = 0.0) -> None:
        self.spans: list[Received] = []
        self.metadata: list[dict[str, object]] = []
        self._leaving = threading.Event()
        self._delay = delay
        self._server = grpc.server(ThreadPoolExecutor(4), options=(("grpc.so_reuseport", 0),))
        rpc.add_TraceServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def Export(self, request, context):  # noqa: N802 - the method's name in OTLP
        self._leaving.wait(self._delay)
        self.metadata.append(dict(context.invocation_metadata()))
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans.extend(_received(span, resource, scope) for span in scope.spans)
        return pb.ExportTraceServiceResponse()

    def of(self, trace_id: str) -> list[Received]:
        """Return the spans of one trace so far."""
        return [span for span in tuple(self.spans) if span.trace_id == trace_id]

    def call(self, trace_id: str = TRACE_ID) -> Received:
        """Wait for the one span of a server in a trace, and return it."""

        def found() -> list[Received]:
            return [span for span in self.of(trace_id) if span.kind == "SERVER"]

        wait_until(lambda: bool(found()))
        (span,) = found()
        return span

    def children(self, span: Received) -> list[Received]:
        """Return the spans right below one, in the order they began."""
        below = [other for other in self.of(span.trace_id) if other.parent_id == span.span_id]
        return sorted(below, key=lambda other: (other.begin, other.end))

    def stop(self) -> None:
        self._leaving.set()
        self._server.stop(0).wait()


def _received(span: trace_pb2.Span, resource: trace_pb2.ResourceSpans, scope: trace_pb2.ScopeSpans) -> Received:
    return Received(
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        begin=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        status=trace_pb2.Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
        message=span.status.message,
        attributes=_plain(span.attributes),
        events=len(span.events),
        resource=_plain(resource.resource.attributes),
        scope=scope.scope.name,
        raw=span.SerializeToString(),
    )


def _plain(attributes: list[KeyValue]) -> dict[str, object]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@pytest.fixture
def collector() -> Iterator[Collector]:
    running = Collector()
    yield running
    running.stop()


@pytest.fixture
def spans_here(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """An application that traces: this process has a provider, for one test; the spans that it ended so far."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    # opentelemetry lets a process set its provider once.
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()
