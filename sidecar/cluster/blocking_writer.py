"""`SparseWriter`: the same writes for code without an event loop."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Self

from sidecar.client import AsyncSidecarClient
from sidecar.client._portal import Portal
from sidecar.client._sync_client import check_for_loop
from sidecar.cluster.writer import AsyncSparseWriter, WriteMode, WriteOutcome, WriterOptions
from sidecar.domain import Document
from sidecar.engine import BulkOperation, Engine, require_one_name

__all__ = ["SparseWriter"]


class SparseWriter:
    """`AsyncSparseWriter` for threads; connects to the cluster and to the sidecar, and closes both.

    `engine` is an address, or what `Engine.connect` returns before it is awaited, where it needs credentials;
    `sidecar` an address, or a client that was not used yet. Safe to share between threads. Raises InvalidInput for a
    SidecarClient, which has a loop of its own, and what connecting raises.

    Usage:
        with SparseWriter("http://127.0.0.1:9200", "127.0.0.1:50051", "articles") as writer:
            outcomes = writer.write([Document("7", {"title": "Wings", "text": "Why wings stall"})])
    """

    def __init__(
        self,
        engine: str | Awaitable[Engine],
        sidecar: str | AsyncSidecarClient,
        index: str,
        options: WriterOptions | None = None,
        *,
        model: str | None = None,
    ) -> None:
        require_one_name(index)
        check_for_loop(sidecar, "The writer")
        client = AsyncSidecarClient(sidecar, timeout=60.0) if isinstance(sidecar, str) else sidecar
        self._portal = Portal("This writer")
        with ExitStack() as undone:
            undone.callback(self._portal.close)
            connected = self._portal.call(_connected, engine)
            self._portal.at_close(connected.close)
            self._portal.at_close(client.close)
            self._writer = AsyncSparseWriter(connected, client, index, options, model=model)
            undone.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close both connections."""
        self._portal.close()

    def write(
        self, documents: Sequence[Document], *, mode: WriteMode = BulkOperation.INDEX, refresh: bool = False
    ) -> tuple[WriteOutcome, ...]:
        """See `AsyncSparseWriter.write`."""
        return self._portal.call(partial(self._writer.write, documents, mode=mode, refresh=refresh))

    def delete(self, ids: Sequence[str], *, refresh: bool = False) -> tuple[WriteOutcome, ...]:
        """See `AsyncSparseWriter.delete`."""
        return self._portal.call(partial(self._writer.delete, ids, refresh=refresh))


async def _connected(engine: str | Awaitable[Engine]) -> Engine:
    return await Engine.connect(engine) if isinstance(engine, str) else await engine
