"""Searches as callers of the HTTP port ask for them: admitted, allowed, bounded in time, counted."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import structlog

from sidecar.domain import JsonObject
from sidecar.engine import Engine
from sidecar.errors import DeadlineExceeded, EngineError, EngineUnavailable, NotAllowed, Overloaded
from sidecar.search import AsyncSearcher, Augmented, BodyResult, Filter, Matching, Profile, SearchResult
from sidecar.search.ports import Sidecar
from sidecar.search.text import check_query
from sidecar.server.metrics.searches import Seen, observe_search
from sidecar.server.searching.connection import Connection
from sidecar.server.searching.failures import for_caller
from sidecar.server.searching.filters import check_filter
from sidecar.server.searching.plan import SearchPlan
from sidecar.server.searching.profiles import profile_named

__all__ = ["BodyCall", "SearchCall", "SearchService"]

MAX_SEARCHERS = 256
"""Pairs of index and profile that are remembered; a pattern may stand for any number of indices."""

RETRY_SECONDS = 1.0

UNKNOWN_USER = 401
"""Status of a cluster that does not take the credentials (any more)."""

WORKING_SHARE = 0.9
"""Of a caller's time, for the search itself."""

LATE = "The deadline passed before the answer was there."

log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class SearchCall:
    """A caller's question; as the arguments of `AsyncSearcher.search`."""

    index: str
    profile: str
    text: str
    size: int = 10
    from_: int = 0
    filter: Filter | None = None
    explain: bool = False
    passages: bool = False
    preference: str | None = None


@dataclass(frozen=True, slots=True)
class BodyCall:
    """A caller's own `_search` body; as the arguments of `AsyncSearcher.augment` and `search_body`."""

    index: str
    profile: str
    body: JsonObject
    text: str | None = None
    matching: Matching = Matching.EXTEND
    preference: str | None = None


class SearchService:
    """Searches for callers, within what the plan allows. Deadlines are absolute seconds of `time.monotonic()`.

    Every search raises NotAllowed and InvalidInput (index), ProfileInvalid, Overloaded (too many under way),
    DeadlineExceeded, what `AsyncSearcher` raises, and EngineErrors as `for_caller` words them.

    Usage:
        service = SearchService(plan, InProcessSidecar(inference))
        service.open()
        result = await service.search(SearchCall("articles", "hybrid", "how do wings stall"), deadline)
        await service.close()
    """

    def __init__(self, plan: SearchPlan, sidecar: Sidecar) -> None:
        self.plan = plan
        self._sidecar = sidecar
        self._connection = Connection(plan.access)
        self._engine: Engine | None = None
        self._searchers: OrderedDict[tuple[str, str], AsyncSearcher] = OrderedDict()
        self._under_way = 0

    def open(self) -> None:
        """Begin to connect to the cluster; searches that come before it is there are refused, and nothing else is."""
        log.info("searching", **self.plan.facts())
        self._connection.open()

    async def close(self) -> None:
        """Close the connection to the cluster."""
        await self._connection.close()

    async def search(self, asked: SearchCall, deadline: float) -> SearchResult:
        """Search by a profile."""
        with observe_search() as seen:
            # Told now, whether the cluster is there or not.
            check_query(asked.text)
            check_filter(asked.filter)
            result = await self._run(
                asked,
                deadline,
                lambda searcher, seconds: searcher.search(
                    asked.text,
                    asked.size,
                    asked.from_,
                    asked.filter,
                    asked.explain,
                    asked.passages,
                    timeout=seconds,
                    preference=asked.preference,
                ),
                seen,
                clauses=None if asked.filter is None else "filter",
            )
            seen.answered(result.degraded, result.timings, partial=result.partial)
        return result

    async def augment(self, asked: BodyCall, deadline: float) -> Augmented:
        """Return a body with a profile's first stage in it; none of the body's own clauses is run.

        Raises NotAllowed for a profile with feedback, whose first pass would run them, unless bodies are allowed.
        """
        with observe_search() as seen:
            profile = profile_named(asked.profile, self.plan.profiles)
            if not self.plan.bodies and _feeds_back(profile):
                raise NotAllowed(
                    "A profile with feedback runs clauses of the body, which the operator has to allow by"
                    " search_bodies: name another profile.",
                    field="profile",
                )
            result = await self._run(
                asked,
                deadline,
                lambda searcher, seconds: searcher.augment(
                    asked.body, asked.text, matching=asked.matching, timeout=seconds, preference=asked.preference
                ),
                seen,
                clauses="body",
            )
            seen.answered(result.degraded)
        return result

    async def search_body(self, asked: BodyCall, deadline: float) -> BodyResult:
        """Augment, run and rerank a caller's body; raises NotAllowed where bodies are not allowed."""
        with observe_search() as seen:
            if not self.plan.bodies:
                raise NotAllowed("Callers' own bodies are not run here: the operator allows it by search_bodies.")
            result = await self._run(
                asked,
                deadline,
                lambda searcher, seconds: searcher.search_body(
                    asked.body, asked.text, matching=asked.matching, timeout=seconds, preference=asked.preference
                ),
                seen,
                clauses="body",
            )
            seen.answered(result.degraded, result.timings, partial=result.partial)
        return result

    async def _run(
        self,
        asked: SearchCall | BodyCall,
        deadline: float,
        work: Callable[[AsyncSearcher, float], Awaitable[Answer]],
        seen: Seen,
        *,
        clauses: str | None,
    ) -> Answer:
        profile = profile_named(asked.profile, self.plan.profiles)
        seen.profile = profile.name
        self.plan.allowed.check(asked.index)
        begin = time.monotonic()
        # Stages that are late are left out in time for the answer to arrive.
        seconds = WORKING_SHARE * (deadline - begin)
        engine: Engine | None = None
        with self._admitted():
            try:
                async with asyncio.timeout(deadline - begin):
                    searcher = await self._searcher(asked.index, profile)
                    engine = self._engine
                    return await work(searcher, seconds)
            except TimeoutError:
                raise DeadlineExceeded(LATE) from None
            except EngineError as error:
                if engine is not None and error.status == UNKNOWN_USER:
                    await self._connection.renew(engine)
                if isinstance(error, EngineUnavailable) and time.monotonic() - begin >= seconds:
                    raise DeadlineExceeded(LATE) from error
                raise for_caller(error, clauses=clauses) from error

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        if self._under_way >= self.plan.limit:
            raise Overloaded(
                f"{self.plan.limit} searches are under way, which is all that are taken at once: come again.",
                retry_after=RETRY_SECONDS,
            )
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def _searcher(self, index: str, profile: Profile) -> AsyncSearcher:
        engine = await self._connection.engine()
        if engine is not self._engine:
            self._searchers.clear()
            self._engine = engine
        key = (index, profile.name)
        found = self._searchers.get(key)
        if found is None:
            found = self._searchers[key] = AsyncSearcher(engine, self._sidecar, profile, index=index)
            if len(self._searchers) > MAX_SEARCHERS:
                self._searchers.popitem(last=False)
        self._searchers.move_to_end(key)
        return found


def _feeds_back(profile: Profile) -> bool:
    feedback = None if profile.sparse is None else profile.sparse.feedback
    return feedback is not None and feedback.weight > 0.0
