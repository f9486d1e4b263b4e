"""Signals, and a terminal that is closed: calls under way are answered, and the second one ends it at once."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import orjson
import pytest

from sidecar.client import SidecarClient
from sidecar.domain import EncodeResult
from sidecar.errors import SidecarError
from sidecar.server.process import SidecarProcess
from tests.integration.server.test_lifecycle import IN_FLIGHT, LONG_WORK, Background, eventually
from tests.support.terminals import in_terminal

pytestmark = [pytest.mark.integration, pytest.mark.faults]


@pytest.mark.parametrize(
    "numbers", [[signal.SIGTERM], [signal.SIGHUP, signal.SIGHUP, signal.SIGTERM], [signal.SIGINT, signal.SIGTERM]]
)
def test_a_signal_lets_a_call_in_flight_finish(
    hangups: None, tiny_bundles: tuple[Path, ...], numbers: list[signal.Signals]
) -> None:
    with SidecarProcess(tiny_bundles, settings={"threads": 1, "drain_grace": 100.0}) as process:
        call = Background(process)
        for count, number in enumerate(numbers, 1):
            process.signal(number)
            eventually(lambda count=count: process.log_text().count('"event":"signal"') == count)
        eventually(lambda: "draining" in process.log_text())
        outcome = call.join()
        assert isinstance(outcome, EncodeResult), outcome
        assert len(outcome.encodings) == len(LONG_WORK)
        assert process.wait(60.0) == 0
        # Nothing else was under way: the drain ended with the call, long before the grace did.
        assert time.monotonic() - call.ended < 30.0


def test_a_terminal_that_is_closed_cuts_off_no_call(tiny_bundles: tuple[Path, ...], tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    settings = {"MODELS": ",".join(map(str, tiny_bundles)), "READY_FILE": str(ready), "DRAIN_GRACE": "100"}
    ports = dict.fromkeys(("GRPC_PORT", "HTTP_PORT", "ADMIN_PORT"), "0")
    own = {f"SIDECAR_{name}": value for name, value in {**settings, **ports, "THREADS": "1"}.items()}
    with in_terminal(["-m", "sidecar", "serve"], {**os.environ, **own}) as terminal:
        eventually(ready.exists)
        target = f"127.0.0.1:{orjson.loads(ready.read_bytes())['grpc_port']}"
        with SidecarClient(target, timeout=100.0) as client, ThreadPoolExecutor(1) as caller:
            answer = caller.submit(client.encode, LONG_WORK)
            admin = f"http://127.0.0.1:{orjson.loads(ready.read_bytes())['admin_port']}"
            eventually(lambda: IN_FLIGHT in httpx.get(f"{admin}/metrics").text)
            terminal.close()
            assert len(answer.result(120.0).encodings) == len(LONG_WORK)
        # What it had to say of its end could be written nowhere, and stopped nothing.
        assert terminal.process.wait(60.0) == 0
    assert not ready.exists()


def test_what_was_started_to_outlive_its_terminal_serves_on(hangups: None, tiny_bundles: tuple[Path, ...]) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with (
        SidecarProcess(tiny_bundles, settings={"threads": 1}) as process,
        SidecarClient(process.target, timeout=30.0) as client,
    ):
        process.signal(signal.SIGHUP)
        assert client.encode(["still served"]).encodings
        assert httpx.get(f"{process.admin_url}/readyz").status_code == 200
        assert "draining" not in process.log_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_same_signal_again_ends_the_process_at_once(tiny_bundles: tuple[Path, ...], number: signal.Signals) -> None:
    with SidecarProcess(tiny_bundles, settings={"threads": 1, "drain_grace": 100.0}) as process:
        call = Background(process)
        process.signal(number)
        eventually(lambda: "draining" in process.log_text())
        begin = time.monotonic()
        process.signal(number)
        assert process.wait(60.0) == 128 + number
        assert time.monotonic() - begin < 10.0
        assert isinstance(call.join(), SidecarError)


def test_sigterm_before_it_is_ready_is_no_failure(tiny_bundles: tuple[Path, ...]) -> None:
    for _ in range(10):
        process = SidecarProcess(tiny_bundles, settings={"threads": 1})
        process.start(wait=False)
        eventually(lambda process=process: '"event":"starting"' in process.log_text())
        process.signal(signal.SIGTERM)
        assert process.wait(60.0) == 0
        log = process.log_text()
        process.stop()
        assert "Traceback" not in log
        if "left before it was ready" in log:
            return
    raise AssertionError("The signal never came before the sidecar was ready.")
