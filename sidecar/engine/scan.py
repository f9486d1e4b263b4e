"""Reading every document that matches a query: by a point in time, or by scrolling where there is none.

A point in time is lost when a node that holds a part of it goes away: the scan then ends with EngineUnavailable, and
whoever reads begins a new one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from sidecar.domain import JsonObject, JsonValue, as_object
from sidecar.engine.responses import shards_unread
from sidecar.engine.stored import StoredDocument, read_hits, source_of
from sidecar.engine.transport import Transport, path_of
from sidecar.engine.versions import ClusterInfo, Distribution
from sidecar.errors import EngineError, EngineRejected, EngineUnavailable, IndexNotFound

__all__ = ["Scan", "ScanSpec", "has_point_in_time", "result_window"]

KEEP_ALIVE = "10m"
"""How long a cluster keeps the state of a scan between two pages."""

LOST = 404
"""Status of a page of a scan whose state is gone."""

WINDOW = "index.max_result_window"
"""The setting that bounds pages, those of a scan as well."""


@dataclass(frozen=True, slots=True)
class ScanSpec:
    """What is read: the documents of `index` that match `query`, with `fields` of their source, in so many slices."""

    index: str
    query: JsonObject
    fields: Sequence[str]
    slices: int = 1


def has_point_in_time(cluster: ClusterInfo) -> bool:
    """Return whether a point in time can be paged through in a total order, in slices.

    OpenSearch has points in time from 2.4 on, the tie-breaker `_shard_doc` from 3.3 on, without which documents of two
    shards can be left out at a page's edge; Elasticsearch slices them from 7.15 on.
    """
    least = (3, 3) if cluster.distribution is Distribution.OPENSEARCH else (7, 15)
    return cluster.release >= least


async def result_window(transport: Transport, index: str) -> int | None:
    """Return the narrowest `max_result_window` of the indices behind a name; None where all have the cluster's own.

    Raises EngineRejected where this user may not see settings.
    """
    answer = await transport.read("GET", path_of(index, "_settings", WINDOW), parameters={"flat_settings": "true"})
    found = [as_object(as_object(one).get("settings")).get(WINDOW) for one in answer.values()]
    return min((int(window) for window in found if isinstance(window, str) and window.isdecimal()), default=None)


class Scan:
    """One scan; opened by entering it, its state in the cluster is freed by leaving it.

    Usage:
        async with engine.scan(ScanSpec("articles", {"match_all": {}}, ["title"], slices=2)) as scan:
            async for page in scan.pages(0, lambda: 500): ...
    """

    def __init__(self, transport: Transport, cluster: ClusterInfo, spec: ScanSpec) -> None:
        self.spec = spec
        self._transport = transport
        self._cluster = cluster
        self._point_in_time: str | None = None
        self._scrolls: set[str] = set()
        self._most: int | None = None

    @property
    def by_point_in_time(self) -> bool:
        """Whether the pages come from a point in time; else each slice scrolls."""
        return self._point_in_time is not None

    async def __aenter__(self) -> Self:
        if has_point_in_time(self._cluster):
            try:
                answer = await self._transport.send(
                    "POST", self._pit_path(self.spec.index), parameters=self._pit_parameters()
                )
            except IndexNotFound:
                raise
            except EngineRejected:
                # Switched off, or not allowed to this user; scrolling is older and needs other permissions.
                return self
            opened = answer.get("pit_id", answer.get("id"))
            self._point_in_time = opened if isinstance(opened, str) else None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._point_in_time is not None:
                await self._transport.send("DELETE", self._pit_path(None), self._pit_ids(self._point_in_time))
            if self._scrolls:
                await self._transport.send("DELETE", "/_search/scroll", {"scroll_id": sorted(self._scrolls)})
        except EngineError:
            # The cluster forgets the state by itself after KEEP_ALIVE; what the scan was for is not undone by this.
            return

    async def pages(self, part: int, size: Callable[[], int]) -> AsyncGenerator[list[StoredDocument], None]:
        """Yield the pages of slice `part`; `size` is asked before each (scrolling: once) for its number of documents.

        A page never holds more than the index's `max_result_window`.

        Raises EngineUnavailable where the cluster lost the scan, or did not answer for all of its shards.
        """
        pages = self._pages_by_point_in_time if self.by_point_in_time else self._pages_by_scroll
        async with aclosing(pages(part, size)) as found:
            async for page in found:
                yield page

    async def _pages_by_point_in_time(
        self, part: int, size: Callable[[], int]
    ) -> AsyncGenerator[list[StoredDocument], None]:
        after: JsonValue = None
        while True:
            wanted = self._bounded(size())
            body: dict[str, JsonValue] = {
                **self._body(part, wanted),
                "pit": {"id": self._point_in_time, "keep_alive": KEEP_ALIVE},
                "sort": [{"_doc": "asc"}, {"_shard_doc": "asc"}],
                "track_total_hits": False,
            }
            if after is not None:
                body["search_after"] = after
            try:
                answer = await self._read("/_search", body, {"allow_partial_search_results": "false"})
            except EngineRejected as error:
                if await self._has_narrowed(error, wanted):
                    continue
                raise
            renewed = answer.get("pit_id")
            if isinstance(renewed, str):
                self._point_in_time = renewed
            hits = read_hits(answer)
            if not hits:
                return
            after = hits[-1].get("sort")
            yield _documents(hits)

    async def _pages_by_scroll(self, part: int, size: Callable[[], int]) -> AsyncGenerator[list[StoredDocument], None]:
        answer = await self._first_of_scroll(part, size())
        while True:
            scroll = answer.get("_scroll_id")
            if isinstance(scroll, str):
                self._scrolls.add(scroll)
            hits = read_hits(answer)
            if not hits:
                return
            yield _documents(hits)
            answer = await self._read("/_search/scroll", {"scroll": KEEP_ALIVE, "scroll_id": scroll}, {})

    async def _first_of_scroll(self, part: int, size: int) -> JsonObject:
        while True:
            wanted = self._bounded(size)
            body: JsonObject = {**self._body(part, wanted), "sort": ["_doc"]}
            try:
                return await self._read(path_of(self.spec.index, "_search"), body, {"scroll": KEEP_ALIVE})
            except EngineRejected as error:
                if not await self._has_narrowed(error, wanted):
                    raise

    def _bounded(self, size: int) -> int:
        return size if self._most is None else min(size, self._most)

    async def _has_narrowed(self, error: EngineRejected, size: int) -> bool:
        """Whether a page of `size` was refused as larger than the index's window; then pages keep within that."""
        if WINDOW not in error.message:
            return False
        try:
            narrower = await result_window(self._transport, self.spec.index) or size
        except EngineError:
            # Not allowed to this user: the cluster's own message names the setting.
            return False
        self._most = self._bounded(narrower)
        return narrower < size

    def _body(self, part: int, size: int) -> dict[str, JsonValue]:
        body: dict[str, JsonValue] = {
            "query": self.spec.query,
            "size": size,
            "_source": source_of(self.spec.fields),
            "seq_no_primary_term": True,
        }
        if self.spec.slices > 1:
            body["slice"] = {"id": part, "max": self.spec.slices}
        return body

    async def _read(self, path: str, body: JsonObject, parameters: dict[str, str]) -> JsonObject:
        scrolling = path.endswith("/scroll") or "scroll" in parameters
        try:
            # A page of a scroll that is asked for twice is another page: it is not sent again.
            send = self._transport.send if scrolling else self._transport.read
            answer = await send("POST", path, body, parameters=parameters, timeout=60.0)
        except EngineRejected as error:
            if error.status == LOST:
                raise EngineUnavailable("The cluster lost the state of a scan: it has to begin again.") from error
            raise
        if shards_unread(answer) or answer.get("timed_out") is True:
            raise EngineUnavailable("The cluster did not read all shards: documents would be missing.")
        return answer

    def _pit_path(self, index: str | None) -> str:
        if self._cluster.distribution is Distribution.ELASTICSEARCH:
            return "/_pit" if index is None else path_of(index, "_pit")
        return "/_search/point_in_time" if index is None else path_of(index, "_search", "point_in_time")

    def _pit_parameters(self) -> dict[str, str]:
        if self._cluster.distribution is Distribution.ELASTICSEARCH:
            return {"keep_alive": KEEP_ALIVE}
        # A shard that no node has would be left out of every page without a word.
        return {"keep_alive": KEEP_ALIVE, "allow_partial_pit_creation": "false"}

    def _pit_ids(self, opened: str) -> JsonObject:
        return {"id": opened} if self._cluster.distribution is Distribution.ELASTICSEARCH else {"pit_id": [opened]}


def _documents(hits: Sequence[JsonObject]) -> list[StoredDocument]:
    return [document for hit in hits if (document := StoredDocument.parse(hit)) is not None]
