"""What is closed says so, and leaves nothing behind: clients, searchers, writers, and the loop that they share."""

from __future__ import annotations

import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from sidecar.client import SidecarClient
from sidecar.client._portal import Portal
from sidecar.cluster import SparseWriter
from sidecar.errors import ProfileInvalid, SidecarUnavailable
from sidecar.search import Searcher
from sidecar.server.process import SidecarProcess
from tests.support.nodes import Node

pytestmark = pytest.mark.integration

PATIENCE_SECONDS = 240.0
"""A thread that hangs hangs for ever."""


def test_what_is_closed_says_so(opensearch: Node, sidecar_process: SidecarProcess) -> None:
    client = SidecarClient(sidecar_process.target)
    outcomes = client.encode_stream([["text"]] * 100)
    next(outcomes)
    client.close()
    client.close()
    with pytest.raises(SidecarUnavailable, match="is closed"):
        client.health()
    with pytest.raises(SidecarUnavailable, match="is closed"):
        next(outcomes)
    searcher = Searcher(opensearch.url, None, "lexical", index="none-such")
    searcher.close()
    with pytest.raises(SidecarUnavailable, match=r"This searcher is closed\."):
        searcher.search("what")
    writer = SparseWriter(opensearch.url, sidecar_process.target, "none-such")
    writer.close()
    with pytest.raises(SidecarUnavailable, match=r"This writer is closed\."):
        writer.delete(["1"])


def test_what_a_close_cuts_off_in_another_thread_says_so() -> None:
    with socket.socket() as silent, ThreadPoolExecutor(1) as threads:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = SidecarClient(f"127.0.0.1:{silent.getsockname()[1]}")
        outcome = threads.submit(client.health, timeout=PATIENCE_SECONDS)
        connection, _ = silent.accept()
        with connection:
            client.close()
            with pytest.raises(SidecarUnavailable, match="was closed before the answer was there"):
                outcome.result(PATIENCE_SECONDS)


def test_no_call_begins_once_it_is_closed() -> None:
    cleaned, late = threading.Event(), list[bool]()

    async def cleanup() -> None:
        cleaned.set()

    async def look() -> None:
        late.append(cleaned.is_set())

    def ask(portal: Portal) -> None:
        with suppress(SidecarUnavailable):
            while True:
                portal.call(look)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads take turns in the middle of everything
    try:
        with ThreadPoolExecutor(4) as threads:
            for _ in range(100):
                cleaned.clear()
                portal = Portal("One")
                portal.at_close(cleanup)
                asking = [threads.submit(ask, portal) for _ in range(4)]
                threading.Event().wait(0.01)
                portal.close()
                for one in asking:
                    one.result(PATIENCE_SECONDS)
    finally:
        sys.setswitchinterval(interval)
    assert late
    assert not any(late)


def test_the_loop_ends_with_the_last_that_holds_it_and_begins_anew() -> None:
    def loops() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "sidecar-client"]

    closed: list[str] = []

    async def cleanup() -> None:
        closed.append(threading.current_thread().name)

    before = len(loops())
    first, second = Portal("One"), Portal("Other")
    first.at_close(cleanup)
    assert len(loops()) == 1
    first.close()
    assert second.call(str.upper, "still") == "STILL"
    second.close()
    assert len(loops()) == before
    assert closed == ["sidecar-client"]
    third = Portal("Third")
    assert third.call(str.upper, "anew") == "ANEW"
    third.close()


def test_a_searcher_that_can_not_be_made_leaves_nothing_behind(opensearch: Node) -> None:
    before = threading.active_count()
    with pytest.raises(ProfileInvalid):
        Searcher(opensearch.url, None, "hybrid", index="none-such")
    assert threading.active_count() == before
