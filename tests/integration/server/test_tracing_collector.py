"""A collector that is away, late, or never answers: no call notices, and the sidecar ends in time all the same."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import httpx
import orjson
import pytest

from sidecar.client import SidecarClient
from sidecar.domain import Side
from sidecar.server.process import SidecarProcess
from sidecar.server.tracing.setup import FLUSH_SECONDS
from tests.support.collector import Collector, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.faults]

SIDECAR = {"tracing": "otlp", "threads": 1}

Start = Callable[..., SidecarProcess]


@pytest.fixture
def start(tiny_bundles: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    def begin(endpoint: str, **variables: str) -> SidecarProcess:
        for name, value in {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **variables}.items():
            monkeypatch.setenv(name, value)
        return SidecarProcess(tiny_bundles, settings=SIDECAR, log=tmp_path / "sidecar.log")

    return begin


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def queries(client: SidecarClient, count: int) -> None:
    for _ in range(count):
        assert client.encode(["a cat"], side=Side.QUERY, model="tiny-idf").encodings


def stopped(process: SidecarProcess) -> tuple[int | None, float]:
    begin = time.monotonic()
    return process.stop(), time.monotonic() - begin


def test_the_last_spans_are_sent_at_the_end(start: Start, collector: Collector) -> None:
    process = start(collector.endpoint, OTEL_BSP_SCHEDULE_DELAY="600000", OTEL_SERVICE_NAME="encoder-of-the-shop")
    with process, SidecarClient(process.target) as client:
        queries(client, 3)
        assert collector.spans == []
    assert [span.name for span in collector.spans].count("sidecar.v1.SparseEncoder/Encode") == 3
    assert {span.resource["service.name"] for span in collector.spans} == {"encoder-of-the-shop"}


def test_a_collector_that_is_away_disturbs_nobody(start: Start, tmp_path: Path) -> None:
    """A queue that is long full, an exporter that fails all the time: calls are answered, and the log stays short."""
    variables = {
        "OTEL_BSP_SCHEDULE_DELAY": "10",
        "OTEL_BSP_MAX_QUEUE_SIZE": "64",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "8",
    }
    with start(f"http://127.0.0.1:{closed_port()}", OTEL_EXPORTER_OTLP_TIMEOUT="1", **variables) as process:
        with SidecarClient(process.target) as client:
            queries(client, 300)
            time.sleep(3.0)
            queries(client, 300)
        code, seconds = stopped(process)
    assert (code, seconds < FLUSH_SECONDS + 5.0) == (0, True)
    lines = [orjson.loads(line) for line in (tmp_path / "sidecar.log").read_bytes().splitlines()]
    told = [line for line in lines if str(line["logger"]).startswith("opentelemetry")]
    assert told, "a collector that is away is told of"
    # One line a minute from each place that has something to say.
    assert len(told) <= 6, told
    assert any("UNAVAILABLE" in str(line["event"]) for line in told)


def test_a_collector_that_comes_late_gets_what_waited(start: Start) -> None:
    port = closed_port()
    process = start(f"http://127.0.0.1:{port}", OTEL_BSP_SCHEDULE_DELAY="100")
    with process, SidecarClient(process.target) as client:
        queries(client, 2)
        time.sleep(0.5)
        late = Collector(port)
        try:
            wait_until(lambda: len([span for span in late.spans if span.kind == "SERVER"]) == 2)
        finally:
            late.stop()


def test_a_collector_that_never_answers_is_not_waited_for(start: Start, tmp_path: Path) -> None:
    silent = Collector(delay=600.0)
    try:
        process = start(silent.endpoint, OTEL_BSP_SCHEDULE_DELAY="10", OTEL_EXPORTER_OTLP_TIMEOUT="60")
        with process:
            with SidecarClient(process.target) as client:
                queries(client, 5)
            code, seconds = stopped(process)
    finally:
        silent.stop()
    assert code == 0
    assert seconds < FLUSH_SECONDS + 5.0
    assert "the last spans were not sent in time" in (tmp_path / "sidecar.log").read_text()


def test_a_provider_that_is_there_already_is_used(collector: Collector, tiny_bundles: tuple[Path, ...]) -> None:
    """As by `opentelemetry-instrument`: its resource, its exporter, and no second one beside it."""
    code = """
import asyncio, sys
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from sidecar.client import AsyncSidecarClient
from sidecar.server.lifecycle import Lifecycle
from sidecar.settings import load_settings

provider = TracerProvider(resource=Resource.create({"service.name": "theirs"}))
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=sys.argv[1])))
trace.set_tracer_provider(provider)

async def main():
    ports = dict(grpc_port=0, http_port=0, admin_port=0)
    lifecycle = Lifecycle(load_settings(models=sys.argv[2], tracing="otlp", threads=1, **ports))
    opened = await lifecycle.start()
    async with AsyncSidecarClient(f"127.0.0.1:{opened.grpc_port}") as client:
        await client.encode(["a cat"])
    await lifecycle.stop()
    with trace.get_tracer("theirs").start_as_current_span("afterwards"):
        pass

asyncio.run(main())
"""
    arguments = [collector.endpoint, ",".join(map(str, tiny_bundles))]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, timeout=120)
    assert {span.resource["service.name"] for span in collector.spans} == {"theirs"}
    names = [span.name for span in collector.spans]
    assert names.count("sidecar.v1.SparseEncoder/Encode") == 2, "one of the client, one of the server"
    assert "afterwards" in names, "its provider is not shut down"


def test_off_loads_nothing_of_it(tiny_bundles: tuple[Path, ...]) -> None:
    """FastAPI brings opentelemetry's API along by itself; what we would load is the rest, and our own part for it."""
    code = """
import asyncio, sys
from sidecar.client import AsyncSidecarClient
from sidecar.server.lifecycle import Lifecycle
from sidecar.settings import load_settings

async def main():
    ports = dict(grpc_port=0, http_port=0, admin_port=0)
    lifecycle = Lifecycle(load_settings(models=sys.argv[1], threads=1, **ports))
    opened = await lifecycle.start()
    async with AsyncSidecarClient(f"127.0.0.1:{opened.grpc_port}") as client:
        await client.encode(["a cat"])
    await lifecycle.stop()

asyncio.run(main())
parts = ("sdk", "exporter", "proto", "semconv")
print(sorted(name for name in sys.modules if name.startswith(tuple(f"opentelemetry.{part}" for part in parts))))
ours = ("spans", "exporting", "grpc", "http", "service")
print(sorted(name for name in sys.modules if name in {f"sidecar.server.tracing.{one}" for one in ours}))
"""
    models = ",".join(map(str, tiny_bundles))
    ended = subprocess.run([sys.executable, "-c", code, models], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-2:] == ["[]", "[]"]


def test_fastapi_sends_nothing_of_its_own(collector: Collector, start: Start) -> None:
    """It would, in a process with a provider: query strings, and spans beside ours."""
    process = start(
        collector.endpoint,
        OTEL_BSP_SCHEDULE_DELAY="50",
        FASTAPI_OTEL_AUTO_CONFIGURE="true",
    )
    word = uuid.uuid4().hex
    with process:
        assert httpx.post(f"{process.http_url}/v1/encode?q={word}", json={"texts": ["a cat"]}).status_code == 200
        httpx.post(f"{process.http_url}/v1/encode", json={"texts": [1]})
        wait_until(lambda: len([span for span in collector.spans if span.kind == "SERVER"]) == 2)
    assert {span.scope for span in collector.spans} == {"splade-sidecar"}
    assert word.encode() not in b"".join(span.raw for span in collector.spans)
