"""Two halves of a pipeline, side by side: what feeds the queue in front of a cluster, and what writes from it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

from anyio import EndOfStream, WouldBlock, create_memory_object_stream
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

__all__ = ["feed_and_write", "filled", "merged"]

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class _Failure:
    """An error on its way through a queue: it must not wait until the other sources are at their end."""

    error: Exception


async def feed_and_write(feed: Coroutine[None, None, None], write: Coroutine[None, None, None]) -> None:
    """Run both until both are done; raise what one of them raised, the writer's error first.

    `feed` closes the queue when it ends, also by an error: the writer then ends by itself when it has written what is
    queued. A writer that fails cancels the feed.
    """
    feeding, writing = asyncio.create_task(feed), asyncio.create_task(write)
    try:
        await asyncio.wait({feeding, writing}, return_when=asyncio.FIRST_EXCEPTION)
        if writing.done():
            feeding.cancel()
        await asyncio.wait({feeding, writing})
    finally:
        feeding.cancel()
        writing.cancel()
        await asyncio.gather(feeding, writing, return_exceptions=True)
    writing.result()
    feeding.result()


def filled(first: list[ItemT], outlet: MemoryObjectReceiveStream[list[ItemT]], enough: int) -> list[ItemT]:
    """Return `first` with what waits behind it, until there are `enough` items; never waits itself."""
    items = list(first)
    while len(items) < enough:
        try:
            items += outlet.receive_nowait()
        except (WouldBlock, EndOfStream):
            break
    return items


async def merged(sources: Sequence[Callable[[], AsyncGenerator[ItemT, None]]]) -> AsyncGenerator[ItemT, None]:
    """Yield what all sources yield, as it comes; at most one item of each waits. Raises what the first one raised."""
    inlet, outlet = create_memory_object_stream[ItemT | _Failure](0)

    async def drain(
        source: Callable[[], AsyncGenerator[ItemT, None]], into: MemoryObjectSendStream[ItemT | _Failure]
    ) -> None:
        async with into, aclosing(source()) as items:
            try:
                async for item in items:
                    await into.send(item)
            except Exception as error:
                await into.send(_Failure(error))

    tasks = [asyncio.create_task(drain(source, inlet.clone())) for source in sources]
    inlet.close()
    try:
        with outlet:
            async for item in outlet:
                if isinstance(item, _Failure):
                    raise item.error
                yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
