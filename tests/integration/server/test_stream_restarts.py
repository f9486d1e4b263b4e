"""Streams whose sidecar goes away, comes back, or stands still."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.errors import (
    DeadlineExceeded,
    SidecarUnavailable,
)
from sidecar.server.process import SidecarProcess
from tests.support.sidecars import HEAVY_TEXT
from tests.support.streams import collected

pytestmark = pytest.mark.integration


@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_restart_in_the_middle_loses_and_repeats_nothing(
    tiny_bundles: tuple[Path, ...], number: signal.Signals
) -> None:
    first = SidecarProcess(tiny_bundles, settings={"threads": 1})
    first.start()
    port = int(first.target.rpartition(":")[2])
    found: set[int] = set()
    second: SidecarProcess | None = None
    try:
        async with AsyncSidecarClient(first.target) as client:
            given = [[HEAVY_TEXT] * 4 for _ in range(60)]
            async for outcome in client.encode_stream(given, resumptions=40):
                assert outcome.error is None
                assert outcome.position not in found
                found.add(outcome.position)
                if len(found) == 10:
                    first.signal(number)
                    await asyncio.to_thread(first.wait, 60.0)
                    second = SidecarProcess(tiny_bundles, settings={"threads": 1, "grpc_port": port})
                    await asyncio.to_thread(second.start)
    finally:
        first.stop()
        if second is not None:
            second.stop()
    assert found == set(range(60))


@pytest.mark.faults
async def test_a_sidecar_that_is_gone_for_good_is_given_up(tiny_bundles: tuple[Path, ...]) -> None:
    with SidecarProcess(tiny_bundles, settings={"threads": 1}) as process:
        async with AsyncSidecarClient(process.target) as client:
            outcomes = client.encode_stream([["some text"]] * 50, in_flight=2, resumptions=1)
            await anext(outcomes)
            process.kill()
            with pytest.raises(SidecarUnavailable):
                await collected(outcomes)


@pytest.mark.faults
async def test_a_sidecar_that_stands_still_is_not_waited_for_for_ever(tiny_bundles: tuple[Path, ...]) -> None:
    with SidecarProcess(tiny_bundles, settings={"threads": 1}) as process:
        async with AsyncSidecarClient(process.target) as client:
            outcomes = client.encode_stream([["some text"]] * 50, in_flight=2, stall_timeout=1.0)
            await anext(outcomes)
            process.signal(signal.SIGSTOP)
            with pytest.raises(DeadlineExceeded, match="answered none"):
                await collected(outcomes)
            process.signal(signal.SIGCONT)
