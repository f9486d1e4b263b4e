"""The event loop thread behind all synchronous objects of the process: gRPC's asyncio API dislikes several loops."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack, suppress
from typing import TypeVar, TypeVarTuple, Unpack, overload

import anyio
from anyio.from_thread import BlockingPortal

from sidecar.client._forks import ADVICE, in_child
from sidecar.errors import InvalidInput, SidecarUnavailable

__all__ = ["Portal"]

_Answer = TypeVar("_Answer")
_Arguments = TypeVarTuple("_Arguments")


class _Thread:
    """Runs an event loop for as long as somebody holds it, or until the process ends.

    Not anyio's own provider: that one waits for its thread while the interpreter goes down, when the thread is frozen
    already, so that a script that left a client open would never end.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._running: tuple[threading.Thread, BlockingPortal] | None = None

    def hold(self) -> BlockingPortal:
        """Return the loop's portal; the first holder starts the thread."""
        with self._lock:
            if self._running is None:
                self._running = _started()
            self._holders += 1
            return self._running[1]

    def release(self) -> None:
        """Give it back; the last holder stops the thread, and waits for its end."""
        with self._lock:
            self._holders -= 1
            running = None
            if not self._holders:
                running, self._running = self._running, None
        _stop(running)

    def stop(self) -> None:
        """Stop the thread whoever holds it; what is under way is cancelled."""
        with self._lock:
            running, self._running = self._running, None
        _stop(running, cancel_remaining=True)


class Portal:
    """By which one synchronous object calls into the loop, until it is closed. Safe to share between threads.

    `what` is how errors call the object. Where nobody closed it, the end of the process does.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._process = os.getpid()
        self._thread = _thread
        self._closed = False
        self._lock = threading.Lock()
        self._cleanups = ExitStack()
        self._calls: set[Future[object]] = set()
        self._portal = self._thread.hold()
        _open.add(self)

    @property
    def usable(self) -> bool:
        """Whether `call` reaches the loop."""
        return not self._closed and self._process == os.getpid()

    @overload
    def call(
        self, function: Callable[[Unpack[_Arguments]], Awaitable[_Answer]], *arguments: *_Arguments
    ) -> _Answer: ...

    @overload
    def call(self, function: Callable[[Unpack[_Arguments]], _Answer], *arguments: *_Arguments) -> _Answer: ...

    def call(self, function: Callable[[Unpack[_Arguments]], object], *arguments: *_Arguments) -> object:
        """Run `function` in the loop and return what it returns.

        Raises SidecarUnavailable after `close` and for what `close` cuts off, and InvalidInput in a process that was
        forked since.
        """
        if self._process != os.getpid():
            raise InvalidInput(f"{self._what} was made before this process was forked: {ADVICE}")
        under_way: Future[object] | None = None
        try:
            with self._lock:
                # At once with the look at `_closed`: a call that begins between the two would be cut off by nobody.
                if self._closed:
                    raise SidecarUnavailable(f"{self._what} is closed.")
                under_way = self._portal.start_task_soon(function, *arguments)
                self._calls.add(under_way)
            return under_way.result()
        except CancelledError:
            if not self._closed:
                raise
            raise SidecarUnavailable(f"{self._what} was closed before the answer was there.") from None
        finally:
            if under_way is not None:
                # Ctrl-C ends the waiting: nobody wants the answer any more.
                under_way.cancel()
                self._calls.discard(under_way)

    def at_close(self, cleanup: Callable[[], Awaitable[None]]) -> None:
        """Have `cleanup` run in the loop by `close`; the last one comes first."""
        self._cleanups.callback(lambda: self._portal.call(cleanup))

    def close(self) -> None:
        """Cancel what is under way, run the cleanups, let go of the loop; in a forked process do nothing."""
        if self._process != os.getpid():
            # The lock may have been held as the process was forked.
            self._closed = True
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
            under_way = list(self._calls)
        _open.discard(self)
        # First of all: a call that goes on would open again what is closed here.
        for call in under_way:
            call.cancel()
        try:
            self._cleanups.close()
        finally:
            self._thread.release()


_thread = _Thread()
_open: weakref.WeakSet[Portal] = weakref.WeakSet()


def _started() -> tuple[threading.Thread, BlockingPortal]:
    ready: Future[BlockingPortal] = Future()

    async def serve() -> None:
        async with BlockingPortal() as portal:
            ready.set_result(portal)
            await portal.sleep_until_stopped()

    thread = threading.Thread(target=lambda: anyio.run(serve), name="sidecar-client", daemon=True)
    thread.start()
    return thread, ready.result()


def _stop(running: tuple[threading.Thread, BlockingPortal] | None, *, cancel_remaining: bool = False) -> None:
    if running is not None:
        thread, portal = running
        portal.call(portal.stop, cancel_remaining)
        thread.join()


@atexit.register
def _at_exit() -> None:
    # In time: as long as Python code runs. Threads are frozen after that, and whoever waits for one waits for ever.
    for portal in list(_open):
        with suppress(Exception):
            portal.close()
    _thread.stop()


@in_child
def _forget() -> None:
    # The thread did not come along.
    global _thread
    _thread = _Thread()
    _open.clear()
