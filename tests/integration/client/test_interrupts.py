"""Ctrl-C while a call or a stream is under way."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sidecar.client import SidecarClient
from sidecar.client._portal import Portal

pytestmark = pytest.mark.integration

PATIENCE_SECONDS = 240.0


def test_an_interrupt_ends_the_call_and_not_only_the_waiting() -> None:
    ended, main = threading.Event(), threading.main_thread().ident
    assert main is not None

    async def endless() -> None:
        try:
            await asyncio.sleep(0.2)  # until the main thread waits
            signal.pthread_kill(main, signal.SIGINT)
            await asyncio.sleep(PATIENCE_SECONDS)
        finally:
            ended.set()

    portal = Portal("One")
    # Where the tests run in a shell's background, SIGINT is ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            portal.call(endless)
        assert ended.wait(PATIENCE_SECONDS)
    finally:
        signal.signal(signal.SIGINT, before)
        portal.close()


def test_an_interrupt_ends_a_stream_as_itself() -> None:
    """It came out as a RuntimeError four times in five: the stream was closed in the middle of being cancelled."""
    main = threading.main_thread().ident
    assert main is not None

    def interrupt(silent: socket.socket) -> socket.socket:
        connection, _ = silent.accept()
        signal.pthread_kill(main, signal.SIGINT)
        return connection

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with socket.socket() as silent, ThreadPoolExecutor(1) as threads:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            for _ in range(10):
                with SidecarClient(f"127.0.0.1:{silent.getsockname()[1]}") as client:
                    caught = threads.submit(interrupt, silent)
                    with pytest.raises(KeyboardInterrupt):
                        next(client.encode_stream([["text"]] * 10))
                    caught.result().close()
    finally:
        signal.signal(signal.SIGINT, before)
