"""An overloaded sidecar is asked again after as long as it says, within the deadline, and nothing else is."""

from __future__ import annotations

import time

import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata

from sidecar.client._retry import JITTER, call_with_retry
from sidecar.contract.failures import write_status
from sidecar.errors import EmptyText, Overloaded, SidecarError, SidecarUnavailable


def failure(error: SidecarError, code: StatusCode) -> AioRpcError:
    trailer = Metadata(("grpc-status-details-bin", write_status(error).SerializeToString()))
    return AioRpcError(code, Metadata(), trailer, error.message)


def overload(seconds: float) -> AioRpcError:
    return failure(Overloaded("full", retry_after=seconds), StatusCode.RESOURCE_EXHAUSTED)


class Server:
    """Fails as it is told, then answers; remembers when it was asked and how long each attempt might have taken."""

    def __init__(self, *failures: AioRpcError) -> None:
        self.failures = list(failures)
        self.asked: list[float] = []
        self.left: list[float | None] = []

    async def __call__(self, left: float | None) -> str:
        self.asked.append(time.monotonic())
        self.left.append(left)
        if self.failures:
            raise self.failures.pop(0)
        return "answer"


async def call(server: Server, timeout: float | None = 5.0, retries: int = 4) -> str:
    return await call_with_retry(server, timeout=timeout, overload_retries=retries, target="host:1")


async def test_a_first_answer_is_the_answer() -> None:
    server = Server()
    assert await call(server) == "answer"
    assert len(server.asked) == 1


async def test_an_overload_is_waited_out_as_long_as_asked_and_not_much_longer() -> None:
    server = Server(overload(0.05), overload(0.1))
    assert await call(server) == "answer"
    first, second, third = server.asked
    assert 0.05 <= second - first < 0.05 * (1 + JITTER) + 0.2
    assert 0.1 <= third - second < 0.1 * (1 + JITTER) + 0.2


async def test_every_attempt_gets_what_is_left_of_the_timeout() -> None:
    server = Server(overload(0.05))
    await call(server, timeout=2.0)
    first, second = server.left
    assert first is not None
    assert second is not None
    assert second <= first - 0.05
    assert first <= 2.0


async def test_a_wait_past_the_deadline_is_not_begun() -> None:
    server = Server(overload(30.0))
    begin = time.monotonic()
    with pytest.raises(Overloaded) as raised:
        await call(server, timeout=1.0)
    assert time.monotonic() - begin < 0.5
    assert raised.value.retry_after == 30.0
    assert len(server.asked) == 1


@pytest.mark.parametrize("retries", [0, 2])
async def test_the_number_of_retries_is_bounded(retries: int) -> None:
    server = Server(*[overload(0.001)] * 10)
    with pytest.raises(Overloaded):
        await call(server, timeout=None, retries=retries)
    assert len(server.asked) == retries + 1


@pytest.mark.parametrize(
    ("failed", "expected"),
    [
        (failure(EmptyText("x"), StatusCode.INVALID_ARGUMENT), EmptyText),
        (AioRpcError(StatusCode.UNAVAILABLE, Metadata(), Metadata(), "refused"), SidecarUnavailable),
        (AioRpcError(StatusCode.RESOURCE_EXHAUSTED, Metadata(), Metadata(), "no time given"), Overloaded),
    ],
)
async def test_nothing_else_is_repeated_here(failed: AioRpcError, expected: type[SidecarError]) -> None:
    server = Server(failed)
    with pytest.raises(expected):
        await call(server)
    assert len(server.asked) == 1
