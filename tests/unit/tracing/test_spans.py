"""Spans below the application's, where it traces; and nothing at all where it does not."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import ClassVar

import pytest
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from sidecar.errors import Overloaded
from sidecar.tracing import propagated, span
from tests.support.collector import SAMPLED, TRACE_ID

SECRET = "the text of a user"


@pytest.fixture
def untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    """opentelemetry is there, and nobody has set it up."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.delenv("OTEL_PYTHON_TRACER_PROVIDER", raising=False)


def ended(exporter) -> ReadableSpan:
    (only,) = exporter.get_finished_spans()
    return only


def test_a_span_below_the_current_one(spans_here) -> None:
    with trace.get_tracer("theirs").start_as_current_span("theirs") as theirs:
        with span("sidecar.encode", {"sidecar.texts": 1}) as ours:
            assert trace.get_current_span() is ours
        assert trace.get_current_span() is theirs
        found = ended(spans_here)
    assert (found.name, found.kind, found.status.status_code) == ("sidecar.encode", SpanKind.INTERNAL, StatusCode.UNSET)
    assert dict(found.attributes) == {"sidecar.texts": 1}
    assert found.parent.span_id == theirs.get_span_context().span_id


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Overloaded(SECRET), "OVERLOADED"),
        (ValueError(SECRET), "ValueError"),
        (asyncio.CancelledError(SECRET), "CANCELLED"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
    ],
)
def test_an_error_is_told_by_its_reason_alone(spans_here, error: BaseException, reason: str) -> None:
    with pytest.raises(type(error)), span("sidecar.rerank", client=True):
        raise error
    found = ended(spans_here)
    assert (found.kind, found.status.status_code, found.status.description) == (
        SpanKind.CLIENT,
        StatusCode.ERROR,
        reason,
    )
    assert found.attributes["error.type"] == reason
    assert found.events == ()
    assert SECRET not in found.to_json()


def test_what_is_called_learns_the_current_span(spans_here) -> None:
    assert propagated() == ()
    with span("sidecar.encode") as current:
        ((name, value),) = propagated()
    ids = current.get_span_context()
    assert (name, value) == ("traceparent", f"00-{ids.trace_id:032x}-{ids.span_id:016x}-{ids.trace_flags:02x}")
    assert ids.trace_flags.sampled


def test_names_of_headers_are_in_lower_case(spans_here) -> None:
    """As gRPC asks for: X-Ray's propagator, for one, has capitals."""

    class Capitals(TextMapPropagator):
        fields: ClassVar = set()

        def extract(self, carrier, context=None, getter=None):
            return context

        def inject(self, carrier, context=None, setter=None):
            carrier["X-Amzn-Trace-Id"] = "Root=1"

    before = propagate.get_global_textmap()
    propagate.set_global_textmap(Capitals())
    try:
        assert propagated() == (("x-amzn-trace-id", "Root=1"),)
    finally:
        propagate.set_global_textmap(before)


def test_without_a_provider_there_is_no_span_and_the_callers_trace_goes_on(untraced: None) -> None:
    taken = propagate.extract({"traceparent": SAMPLED, "tracestate": "vendor=1"})
    token = context.attach(baggage.set_baggage("tenant", "a b", taken))
    try:
        with span("sidecar.encode") as current:
            assert current is None
            assert dict(propagated()) == {"traceparent": SAMPLED, "tracestate": "vendor=1", "baggage": "tenant=a+b"}
            assert trace.get_current_span().get_span_context().trace_id == int(TRACE_ID, 16)
    finally:
        context.detach(token)
    assert propagated() == ()


def test_another_provider_is_noticed(spans_here, monkeypatch: pytest.MonkeyPatch) -> None:
    with span("first"):
        pass
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", trace.NoOpTracerProvider())
    with span("second"):
        pass
    assert ended(spans_here).name == "first"


def test_an_application_that_does_not_trace_loads_nothing_of_it() -> None:
    """Not by importing, not by a call, not by a search."""
    code = """
import asyncio, sys
from sidecar.client import AsyncSidecarClient, SidecarClient
from sidecar.engine import Engine
from sidecar.errors import EngineUnavailable, SidecarUnavailable
from sidecar.search import AsyncSearcher, Searcher
from sidecar.tracing import propagated, span

async def main():
    async with AsyncSidecarClient("127.0.0.1:9", timeout=0.2) as client:
        try:
            await client.encode(["a cat"])
        except Exception as error:
            print(type(error).__name__)
    try:
        await Engine.connect("http://127.0.0.1:9", timeout=0.2)
    except EngineUnavailable as error:
        print(type(error).__name__)

asyncio.run(main())
with span("x") as current:
    assert current is None
assert propagated() == ()
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    *errors, loaded = done.stdout.splitlines()
    assert errors[1] == "EngineUnavailable"
    assert loaded == "[]"
