"""Writing vectors back: by a script that replaces them, and only onto the version that was read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from sidecar.cluster.documents import source_text, text_hash
from sidecar.cluster.encoding import Encoded
from sidecar.cluster.present import present
from sidecar.cluster.reconcile.finding import Finding, scanned_fields
from sidecar.cluster.reconcile.own_writes import OwnWrites
from sidecar.domain import JsonObject
from sidecar.engine import BulkAction, BulkItem, BulkOperation, Dialect, Engine, IndexMeta, vector_fields
from sidecar.errors import EngineError

__all__ = ["Fate", "Ready", "Settled", "VectorWriter", "Writer", "fate_of", "prepare"]

CONFLICT_ATTEMPTS = 3
"""How often a document that changed in other fields only is written anew before it is put off."""

SCRIPT = "for (name in params.replaced) { ctx._source.remove(name) } ctx._source.putAll(params.fields);"
"""One source for all documents, with what differs in parameters: the cluster compiles it once."""


class Fate(StrEnum):
    """What became of one write."""

    WRITTEN = "written"
    UNNEEDED = "unneeded"
    """Read again, it had the vector: written by somebody else, or by a request whose answer was lost."""
    GONE = "gone"
    """It was deleted, and stays so."""
    PUT_OFF = "put off"
    """Its text changed, or it changed too fast: it has to be encoded, or tried, again later."""
    TURNED_AWAY = "turned away"
    """The cluster was overloaded to the last attempt."""
    UNREACHABLE = "unreachable"
    """The cluster, or the shard, went away."""
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Ready:
    """A document on its way into the cluster: what was found, and the fields it gets.

    `put_aside`: its text could not be encoded, and the dead letters have it; it is written without a vector.
    """

    finding: Finding
    fields: JsonObject
    truncated: bool = False
    has_vector: bool = True
    put_aside: bool = False


@dataclass(frozen=True, slots=True)
class Settled:
    """One document with its fate; `error_type` and `reason` are the cluster's, where it refused.

    `repeated` says that the cluster was not able to take the write at once.
    """

    ready: Ready
    fate: Fate
    repeated: bool = False
    error_type: str = ""
    reason: str = ""


def prepare(document: Encoded[Finding], meta: IndexMeta, dialect: Dialect) -> Ready:
    """Return the fields that a document gets; raise InvalidInput for a vector that the dialect can't hold."""
    finding = document.record
    fields: JsonObject = {meta.hash_field: finding.hash}
    if document.vector is None:
        return Ready(finding, fields, has_vector=False)
    return Ready(finding, {**fields, **vector_fields(document.vector, meta, dialect)}, document.truncated)


class Writer(Protocol):
    """Writes documents into an index."""

    def write(self, ready: Sequence[Ready]) -> AsyncIterator[list[Settled]]:
        """Write all of them, and yield each document once, in groups, with what became of it."""


class VectorWriter:
    """Writes vectors into one index; what is confirmed is remembered in `own`."""

    def __init__(self, engine: Engine, meta: IndexMeta, dialect: Dialect, own: OwnWrites) -> None:
        self._engine = engine
        self._meta = meta
        self._own = own
        self._replaced = dialect.written_fields(meta.vector_field)

    async def write(self, ready: Sequence[Ready]) -> AsyncIterator[list[Settled]]:
        """Write all of them, and yield each document once, in groups, with what became of it.

        A document that has another version by now is read again. Where its text is the same, its vector is written
        onto that version, a few times at most; where it is not, it is put off. Of an index that was deleted all
        documents are gone. Raises EngineErrors where nobody says which indices there are.
        """
        there = await present(self._engine, (one.finding.document.index for one in ready))
        gone = [one for one in ready if one.finding.document.index not in there]
        if gone:
            yield [Settled(one, Fate.GONE) for one in gone]
        pending = [one for one in ready if one.finding.document.index in there]
        if not pending:
            return
        for _ in range(CONFLICT_ATTEMPTS):
            items = await self._engine.bulk([self._action(one) for one in pending])
            for item in items:
                if item.written and item.seq_no is not None:
                    self._own.add(item.action.index, item.seq_no)
            yield [
                Settled(one, fate_of(item), item.attempts > 1, item.error_type, item.reason)
                for one, item in zip(pending, items, strict=True)
                if not item.conflict
            ]
            conflicts = [one for one, item in zip(pending, items, strict=True) if item.conflict]
            if not conflicts:
                return
            try:
                settled, pending = await self._read_again(conflicts)
            except EngineError:
                # Their state is unknown, and the next scan knows it.
                yield [Settled(one, Fate.UNREACHABLE) for one in conflicts]
                return
            yield settled
            if not pending:
                return
        yield [Settled(one, Fate.PUT_OFF) for one in pending]

    async def _read_again(self, conflicts: Sequence[Ready]) -> tuple[list[Settled], list[Ready]]:
        settled: list[Settled] = []
        pending: list[Ready] = []
        found = await self._engine.stored([one.finding.document for one in conflicts], scanned_fields(self._meta))
        for one, document in zip(conflicts, found, strict=True):
            finding = one.finding
            if document is None:
                settled.append(Settled(one, Fate.GONE))
            elif text_hash(source_text(document.id, document.source, self._meta)) != finding.hash:
                settled.append(Settled(one, Fate.PUT_OFF))
            elif finding.hash == document.source.get(self._meta.hash_field) != finding.hash_before:
                settled.append(Settled(one, Fate.UNNEEDED))
            else:
                pending.append(replace(one, finding=replace(finding, document=document)))
        return settled, pending

    def _action(self, one: Ready) -> BulkAction:
        document = one.finding.document
        script: JsonObject = {
            "lang": "painless",
            "source": SCRIPT,
            "params": {"replaced": list(self._replaced), "fields": one.fields},
        }
        return BulkAction(
            document.index,
            document.id,
            {"script": script},
            BulkOperation.UPDATE,
            document.routing,
            document.seq_no,
            document.primary_term,
        )


def fate_of(item: BulkItem) -> Fate:
    """Return what became of a write that met no conflict."""
    if item.written:
        return Fate.WRITTEN
    if item.missing:
        return Fate.GONE
    if item.unreachable or item.blocked or item.status in {502, 503, 504}:
        return Fate.UNREACHABLE
    if item.status == 429:
        return Fate.TURNED_AWAY
    return Fate.REFUSED
