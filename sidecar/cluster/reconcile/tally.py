"""Counting what became of documents, and remembering the few that have to be tried again."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from sidecar.cluster.dead_letters import DeadLetters
from sidecar.cluster.reconcile.finding import Finding, Reason
from sidecar.cluster.reconcile.summary import ReconcileSummary
from sidecar.cluster.reconcile.writing import Fate, Settled
from sidecar.engine import StoredDocument
from sidecar.engine.failures import without_quoted
from sidecar.errors import EngineRejected, SidecarError, wire_error

__all__ = ["PutOff", "Tally"]

REMEMBERED = 50_000
"""Documents that are remembered at most; what is beyond is found again by a scan, or by the next run."""

HOPELESS = 100
"""So many refused writes, and none that went through: it is not the documents."""

Counted = Literal["scanned", "written", "without_vector", "truncated", "unneeded", "gone", "failed", "left"]

_Key: TypeAlias = tuple[str, str, str | None]
"""Index, id and routing: shards do not know of each other's ids."""


@dataclass(frozen=True, slots=True)
class PutOff:
    """A document that is tried again later: where it is, why it needed a vector, and the hash it had then."""

    document: StoredDocument
    reason: Reason
    hash: object


class Tally:
    """The summary as it grows, the dead letters, and what is to be tried again."""

    def __init__(self, dead_letters: DeadLetters, progress: Callable[[ReconcileSummary], None] | None = None) -> None:
        self._dead_letters = dead_letters
        self._progress = progress
        self._started = time.monotonic()
        self._counts: Counter[str] = Counter()
        self._refused_writes = 0
        self._held_back = 0.0
        self._left_before = 0
        self._put_off: OrderedDict[_Key, PutOff] = OrderedDict()
        self._refused: OrderedDict[_Key, int] = OrderedDict()

    @property
    def summary(self) -> ReconcileSummary:
        """What is done so far."""
        counts = self._counts
        return ReconcileSummary(
            scanned=counts["scanned"],
            missing=counts[Reason.MISSING],
            outdated=counts[Reason.OUTDATED],
            changed=counts[Reason.CHANGED],
            written=counts["written"],
            without_vector=counts["without_vector"],
            truncated=counts["truncated"],
            unneeded=counts["unneeded"],
            gone=counts["gone"],
            failed=counts["failed"],
            left=max(counts["left"], self._left_before),
            held_back=self._held_back,
            seconds=time.monotonic() - self._started,
        )

    def begin(self) -> None:
        """Forget what is to be tried again: the indices are gone through from their beginning, and it is found there.

        It counts as left until they were gone through.
        """
        self._left_before = self.summary.left
        self._put_off.clear()
        self._counts["left"] = 0

    def gone_through(self) -> None:
        """The indices were gone through to their end: left is what was put off since `begin`."""
        self._left_before = 0

    def scanned(self, count: int) -> None:
        """Count documents that were read."""
        self._count("scanned", count)
        self._tell()

    def deleted(self, count: int) -> None:
        """Count documents of a copy that were deleted because their originals are."""
        self._counts[Reason.CHANGED] += count
        self._count("gone", count)
        self._tell()

    def held_back(self, seconds: float) -> None:
        """Count time that was left to the cluster."""
        self._held_back += seconds

    def was_refused(self, document: StoredDocument) -> bool:
        """Whether this version is in the dead letters of this run: it would be refused again."""
        return self._refused.get(_key(document)) == document.seq_no

    def take_put_off(self) -> list[PutOff]:
        """Return what was put off, and forget it."""
        taken = list(self._put_off.values())
        self._put_off.clear()
        self._count("left", -len(taken))
        return taken

    def settle(self, settled: Settled) -> None:
        """Count one write; raise EngineRejected where the cluster refuses everything."""
        ready, finding = settled.ready, settled.ready.finding
        match settled.fate:
            case Fate.WRITTEN | Fate.UNNEEDED | Fate.GONE | Fate.REFUSED if ready.put_aside:
                # It was counted when it was put aside.
                pass
            case Fate.WRITTEN:
                self._found(finding.reason, "written")
                self._count("without_vector", int(not ready.has_vector))
                self._count("truncated", int(ready.truncated))
            case Fate.UNNEEDED:
                self._found(finding.reason, "unneeded")
            case Fate.GONE:
                self._found(finding.reason, "gone")
            case Fate.PUT_OFF | Fate.TURNED_AWAY:
                self.put_off(PutOff(replace(finding.document, source={}), finding.reason, finding.hash_before))
            case Fate.REFUSED:
                self._letter(finding, "write", settled.error_type or "UNKNOWN", settled.reason)
                self._require_hope(settled)
            case Fate.UNREACHABLE:
                pass
        self._tell()

    def settle_unwritten(self, put_off: PutOff, fate: Literal[Fate.UNNEEDED, Fate.GONE]) -> None:
        """Count a document that was put off and needs nothing any more."""
        self._found(put_off.reason, "gone" if fate is Fate.GONE else "unneeded")

    def put_off(self, document: PutOff) -> None:
        """Remember a document for later; beyond REMEMBERED it is only counted."""
        key = _key(document.document)
        if key not in self._put_off:
            self._count("left")
            if len(self._put_off) < REMEMBERED:
                self._put_off[key] = document

    def fail(self, finding: Finding, error: SidecarError) -> None:
        """Put a document aside that could not be encoded."""
        self._letter(finding, "encode", wire_error(error).reason, error.message)
        self._tell()

    def _require_hope(self, settled: Settled) -> None:
        self._refused_writes += 1
        if self._refused_writes >= HOPELESS and not self._counts["written"]:
            raise EngineRejected(
                f"The cluster refused the first {self._refused_writes} documents: {settled.error_type}:"
                f" {without_quoted(settled.reason)}"
            )

    def _letter(self, finding: Finding, stage: str, reason: str, message: str) -> None:
        document = finding.document
        self._dead_letters.add(
            None, document.id, stage, reason, message, None, index=document.index, routing=document.routing
        )
        self._refused[_key(document)] = document.seq_no
        if len(self._refused) > REMEMBERED:
            self._refused.popitem(last=False)
        self._found(finding.reason, "failed")

    def _found(self, reason: Reason, outcome: Counted) -> None:
        self._counts[reason] += 1
        self._count(outcome)

    def _count(self, what: Counted, by: int = 1) -> None:
        self._counts[what] += by

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(self.summary)


def _key(document: StoredDocument) -> _Key:
    return (document.index, document.id, document.routing)
