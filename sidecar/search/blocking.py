"""`Searcher`: the same searches for code without an event loop."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Self

from sidecar.client import AsyncSidecarClient
from sidecar.client._portal import Portal
from sidecar.client._sync_client import check_for_loop
from sidecar.domain import JsonObject
from sidecar.engine import Engine
from sidecar.errors import InvalidInput
from sidecar.search.augment import Augmented, Matching
from sidecar.search.profile import Profile
from sidecar.search.result import BodyResult, SearchResult
from sidecar.search.searcher import AsyncSearcher, Filter

__all__ = ["Searcher"]


class Searcher:
    """`AsyncSearcher` for threads; connects to the cluster and to the sidecar, and closes both.

    `engine` is an address, or what `Engine.connect` returns before it is awaited, where it needs credentials;
    `sidecar` an address, a client that was not used yet, or None for lexical profiles; `fingerprint` as there.
    Safe to share between threads, and of no use in a process that is forked later. Raises InvalidInput for an empty
    address or index, and what connecting raises; SidecarUnavailable after `close`.

    Usage:
        with Searcher("http://127.0.0.1:9200", "127.0.0.1:50051", "hybrid+rerank", index="articles") as searcher:
            result = searcher.search("how do wings stall")
    """

    def __init__(
        self,
        engine: str | Awaitable[Engine],
        sidecar: str | AsyncSidecarClient | None,
        profile: Profile | str,
        *,
        index: str,
        fingerprint: str | None = None,
    ) -> None:
        if isinstance(sidecar, str) and not sidecar.strip():
            raise InvalidInput(
                "The sidecar's address is empty: give host:port, or None for a lexical profile.", field="sidecar"
            )
        check_for_loop(sidecar, "The searcher")
        client = AsyncSidecarClient(sidecar) if isinstance(sidecar, str) else sidecar
        self._portal = Portal("This searcher")
        with ExitStack() as undone:
            undone.callback(self._portal.close)
            connected = self._portal.call(_connected, engine)
            self._portal.at_close(connected.close)
            if client is not None:
                self._portal.at_close(client.close)
            self._searcher = AsyncSearcher(connected, client, profile, index=index, fingerprint=fingerprint)
            undone.pop_all()

    @property
    def profile(self) -> Profile:
        """The profile that is searched by."""
        return self._searcher.profile

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close both connections."""
        self._portal.close()

    def search(
        self,
        text: str,
        size: int = 10,
        from_: int = 0,
        filter: Filter | None = None,
        explain: bool = False,
        passages: bool = False,
        *,
        timeout: float | None = None,
        preference: str | None = None,
    ) -> SearchResult:
        """See `AsyncSearcher.search`."""
        return self._portal.call(
            partial(
                self._searcher.search,
                text,
                size,
                from_,
                filter,
                explain,
                passages,
                timeout=timeout,
                preference=preference,
            )
        )

    def augment(
        self,
        body: JsonObject,
        text: str | None = None,
        *,
        matching: Matching = Matching.EXTEND,
        timeout: float | None = None,
        preference: str | None = None,
    ) -> Augmented:
        """See `AsyncSearcher.augment`."""
        return self._portal.call(
            partial(self._searcher.augment, body, text, matching=matching, timeout=timeout, preference=preference)
        )

    def search_body(
        self,
        body: JsonObject,
        text: str | None = None,
        *,
        matching: Matching = Matching.EXTEND,
        timeout: float | None = None,
        preference: str | None = None,
    ) -> BodyResult:
        """See `AsyncSearcher.search_body`."""
        return self._portal.call(
            partial(self._searcher.search_body, body, text, matching=matching, timeout=timeout, preference=preference)
        )


async def _connected(engine: str | Awaitable[Engine]) -> Engine:
    return await Engine.connect(engine) if isinstance(engine, str) else await engine
