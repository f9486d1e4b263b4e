"""How one model's batches are run: by how many threads at once, what a batch is, and what becomes of its rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic

import structlog

from sidecar.errors import InferenceFailed, SidecarError
from sidecar.inference.calls import Item, Row
from sidecar.inference.lanes import Entry

__all__ = ["WIDE_TOKENS", "Batch", "Ran", "Runner", "Runners", "run_batch"]

log = structlog.get_logger(__name__)

Runner = Callable[[Sequence[Item]], Sequence[Row | SidecarError]]
"""Runs one batch: a row, or an error, for each item, in the order of the items."""

WIDE_TOKENS = 192
"""From here on one text runs faster on all threads than on one; shorter ones lose more by the threads' waking up."""


@dataclass(frozen=True, slots=True)
class Runners(Generic[Row]):
    """A model's `workers` threads, and what they run.

    `narrow` runs a batch in the calling thread; up to `workers` threads call it at once. `wide`, where there is one,
    runs a batch on as many threads as there are workers and is called only while nothing else runs.
    """

    narrow: Runner[Row]
    workers: int = 1
    wide: Runner[Row] | None = None

    def threads_for(self, entries: Sequence[Entry[Row]], *, alone: bool) -> int:
        """Return how many threads a batch gets; `alone`: nothing else runs or waits."""
        lone_text = alone and self.wide is not None and len(entries) == 1
        return self.workers if lone_text and entries[0].item.tokens >= WIDE_TOKENS else 1

    def of(self, batch: Batch[Row]) -> Runner[Row]:
        """Return what runs the batch on its threads."""
        return self.narrow if self.wide is None or batch.threads == 1 else self.wide


@dataclass(frozen=True, slots=True)
class Batch(Generic[Row]):
    """What one worker runs next, and how many threads that takes."""

    entries: list[Entry[Row]]
    threads: int


@dataclass(frozen=True, slots=True)
class Ran(Generic[Row]):
    """A batch that has run, or one call's part of it; `failures` says, by entry, what makes its call fail, if anything.

    `seconds` are the runner's.
    """

    entries: Sequence[Entry[Row]]
    failures: Sequence[SidecarError | None]
    seconds: float

    @property
    def padded(self) -> int:
        return len(self.entries) * max(entry.item.tokens for entry in self.entries)


def run_batch(runner: Runner[Row], entries: Sequence[Entry[Row]], *, model: str) -> Iterator[Ran[Row]]:
    """Run a batch and hand the rows to their calls; where it fails, run it again call by call."""
    calls = dict.fromkeys(id(entry.call) for entry in entries)
    started = time.perf_counter()
    try:
        rows = runner([entry.item for entry in entries])
    except Exception as error:
        log.error("inference failed", model=model, items=len(entries), calls=len(calls), **_reason(error))
        if len(calls) > 1:
            for call in calls:
                yield from run_batch(runner, [entry for entry in entries if id(entry.call) == call], model=model)
            return
        rows = [InferenceFailed("The model failed on this call.")] * len(entries)
    seconds = time.perf_counter() - started
    failures = [_deliver(entry, row) for entry, row in zip(entries, rows, strict=True)]
    yield Ran(entries, failures, seconds)


def _deliver(entry: Entry[Row], row: Row | SidecarError) -> SidecarError | None:
    """Hand the row to its call; return what makes the call fail, if anything."""
    if entry.call.settled or isinstance(row, SidecarError):
        return row if isinstance(row, SidecarError) else None
    try:
        with entry.call.delivering:
            entry.call.deliver(entry.item.slot, row)
    except Exception as error:
        log.error("a result could not be taken; this is a bug", error=type(error).__name__)
        return InferenceFailed("The model's answer could not be read.")
    return None


def _reason(error: Exception) -> dict[str, str]:
    """Describe a runtime's failure without its status message, which may hold token ids of the text."""
    return {"error": type(error).__name__, "where": str(error).partition("Status Message")[0][:200]}
