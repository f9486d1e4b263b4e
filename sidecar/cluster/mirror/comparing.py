"""What of an index its copy lacks: found by reading both, without encoding."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from sidecar.cluster.documents import source_text, text_hash
from sidecar.cluster.mirror.pair import Side
from sidecar.cluster.reconcile.finding import Finding, Reason
from sidecar.domain import JsonObject
from sidecar.engine import Engine, IndexMeta, ScanSpec, StoredDocument, dialect_of, own_fields

__all__ = ["ABSENT", "Differences", "compare", "differences", "fields_of", "orphans"]

ABSENT = -1
"""Sequence number of a document that the copy does not have."""

PAGE = 500


@dataclass(frozen=True, slots=True)
class Differences:
    """Documents of an index that its copy lacks or has otherwise, and documents that only the copy has."""

    behind: int
    orphaned: int


def fields_of(*metas: IndexMeta) -> frozenset[str]:
    """Return the top-level fields that are ours, and not the application's."""
    return frozenset(name for meta in metas for name in own_fields(meta))


async def compare(engine: Engine, source: Side, copy: Side, page: Sequence[StoredDocument]) -> list[Finding]:
    """Return what has to be written into `copy` for these documents of `source`; those that are gone are left out.

    Each finding's document is what the copy is to hold, with the version that the copy has of it now (ABSENT: none).
    The copy is read before its source: whatever it holds was read from the source earlier, so that no newer text is
    ever replaced by an older one, however many copy at the same time.
    """
    ours = fields_of(source.meta, copy.meta)
    held = await engine.whole(copy.name, page)
    # Vectors too: a document that a cluster leaves fields out of has the others' fractions rounded.
    wanted = await engine.whole(source.name, page)
    found = (
        _decide(before, document, copy, ours)
        for before, document in zip(held, wanted, strict=True)
        if document is not None
    )
    return [finding for finding in found if finding is not None]


async def orphans(engine: Engine, source: Side, page: Sequence[StoredDocument]) -> list[StoredDocument]:
    """Return which of these documents of a copy `source` no longer has."""
    present = await engine.stored([_in(source.name, document) for document in page], ())
    return [document for document, found in zip(page, present, strict=True) if found is None]


async def differences(engine: Engine, source: Side, copy: Side) -> Differences:
    """Compare every document of both indices, as they are now."""
    behind = orphaned = 0
    await engine.refresh(f"{source.name},{copy.name}")
    async with aclosing(_pages(engine, source.name)) as pages:
        async for page in pages:
            behind += len(await compare(engine, source, copy, page))
    async with aclosing(_pages(engine, copy.name)) as pages:
        async for page in pages:
            orphaned += len(await orphans(engine, source, page))
    return Differences(behind, orphaned)


def _decide(held: StoredDocument | None, wanted: StoredDocument, copy: Side, ours: frozenset[str]) -> Finding | None:
    meta = copy.meta
    fields = {name: value for name, value in wanted.source.items() if name not in ours}
    text = source_text(wanted.id, fields, meta)
    digest = text_hash(text)
    if held is None:
        document = StoredDocument(copy.name, wanted.id, ABSENT, 0, fields, wanted.routing)
        return Finding(document, text, digest, Reason.MISSING)
    vector: JsonObject = {
        name: held.source[name]
        for name in dialect_of(meta).written_fields(meta.vector_field)
        if held.source.get(name) is not None
    }
    hashed = held.source.get(meta.hash_field)
    encoded = hashed == digest and (bool(vector) or not text)
    same = {name: value for name, value in held.source.items() if name not in ours} == fields
    if encoded and same:
        return None
    document = StoredDocument(copy.name, held.id, held.seq_no, held.primary_term, fields, wanted.routing)
    reason = Reason.OUTDATED if same else Reason.CHANGED
    return Finding(document, text, digest, reason, hashed, vector if encoded and vector else None)


async def _pages(engine: Engine, index: str) -> AsyncGenerator[list[StoredDocument], None]:
    everything = ScanSpec(index, {"match_all": {}}, ())
    async with engine.scan(everything) as scan, aclosing(scan.pages(0, lambda: PAGE)) as pages:
        async for page in pages:
            yield page


def _in(index: str, document: StoredDocument) -> StoredDocument:
    return StoredDocument(index, document.id, document.seq_no, document.primary_term, {}, document.routing)
