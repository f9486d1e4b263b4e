"""Encoding a sample of documents once more, and comparing that with what the index holds of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from sidecar.client import AsyncSidecarClient
from sidecar.cluster.documents import source_text, text_hash
from sidecar.cluster.encoding import Encoded, Texts, encode_documents
from sidecar.cluster.reconcile.finding import scanned_fields
from sidecar.domain import JsonObject, JsonValue, Windows, as_object
from sidecar.engine import Dialect, Engine, IndexMeta, StoredDocument, dialect_of, vector_fields
from sidecar.engine.features import SENTINEL_PREFIX
from sidecar.engine.stored import read_hits

__all__ = ["Sample", "compare_sample", "difference"]

AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Sample:
    """`compared` documents were encoded again. Those in `differing` hold something else than that, worst first.

    `largest_difference` is of one weight, as a share of its vector's largest.
    """

    compared: int = 0
    largest_difference: float = 0.0
    differing: tuple[str, ...] = ()


async def compare_sample(
    engine: Engine,
    sidecar: AsyncSidecarClient,
    index: str,
    meta: IndexMeta,
    model: str,
    size: int,
    windows: Windows,
    *,
    allowed: float = 2.0**-8,
) -> Sample:
    """Draw documents that have a vector, at random, and compare; those whose text is a newer one are left out."""
    if not size:
        return Sample()
    dialect = dialect_of(meta)
    fields = (*scanned_fields(meta), *dialect.written_fields(meta.vector_field))
    differences: list[tuple[str, float]] = []
    for part in _parts(await _drawn(engine, index, meta, dialect, size)):
        present = [document for document in await engine.stored(part, fields) if document is not None]
        read = [(document, source_text(document.id, document.source, meta)) for document in present]
        same = [(document, text) for document, text in read if document.source.get(meta.hash_field) == text_hash(text)]
        if not same:
            continue
        wanted = Texts(tuple(document for document, _ in same), tuple(text for _, text in same))
        for one in await _encoded(sidecar, wanted, meta, model, windows):
            if one.error is not None:
                raise one.error
            fresh = {} if one.vector is None else vector_fields(one.vector, meta, dialect)
            differences.append((one.record.id, difference(one.record.source, fresh)))
    # Behind different routings there may be several of one id.
    worst = sorted(differences, key=lambda found: -found[1])
    return Sample(
        len(worst),
        max((apart for _, apart in worst), default=0.0),
        tuple(name for name, apart in worst if apart > allowed),
    )


async def _encoded(
    sidecar: AsyncSidecarClient, texts: Texts[StoredDocument], meta: IndexMeta, model: str, windows: Windows
) -> list[Encoded[StoredDocument]]:
    """Encode as whoever writes the index does: passages, where it has them."""

    async def once() -> AsyncIterator[Texts[StoredDocument]]:
        yield texts

    stream = encode_documents(sidecar, once(), meta, model=model, windows=windows, in_flight=1)
    async with aclosing(stream) as answers:
        return [one async for answer in answers for one in answer]


def difference(stored: JsonObject, fresh: JsonObject) -> float:
    """Return the largest difference of a weight, as a share of the largest weight; 1.0 where fields differ otherwise.

    A term that only one of both has counts by what it weighs above the other's lightest term: pruning cuts there, and
    what lies on the edge may fall to either side.
    """
    largest = 0.0
    for name, wanted in fresh.items():
        largest = max(largest, _of_field(stored.get(name), wanted))
    return largest


def _of_field(held: JsonValue, wanted: JsonValue) -> float:
    if isinstance(wanted, list) and all(isinstance(one, Mapping) for one in wanted):
        # Passages: as many of them, with the same text each.
        if not isinstance(held, list) or len(held) != len(wanted):
            return 1.0
        pairs = [(as_object(one), as_object(other)) for one, other in zip(held, wanted, strict=True)]
        return max((difference(one, other) for one, other in pairs), default=0.0)
    if not isinstance(wanted, Mapping):
        return float(held != wanted)
    return _of_weights(_weights(held), _weights(wanted)) if isinstance(held, Mapping) else 1.0


def _of_weights(held: Mapping[str, float], wanted: Mapping[str, float]) -> float:
    if {term for term in held.keys() ^ wanted.keys() if term.startswith(SENTINEL_PREFIX)}:
        return 1.0
    held, wanted = _without_sentinel(held), _without_sentinel(wanted)
    scale = max([*held.values(), *wanted.values()], default=1.0)
    least_held, least_wanted = min(held.values(), default=0.0), min(wanted.values(), default=0.0)
    apart = [
        max(0.0, wanted[term] - least_held)
        if term not in held
        else max(0.0, held[term] - least_wanted)
        if term not in wanted
        else abs(held[term] - wanted[term])
        for term in held.keys() | wanted.keys()
    ]
    return min(1.0, max(apart, default=0.0) / scale)


def _without_sentinel(weights: Mapping[str, float]) -> dict[str, float]:
    """Return the terms alone: the sentinel is none, and its weight says nothing about theirs."""
    return {term: weight for term, weight in weights.items() if not term.startswith(SENTINEL_PREFIX)}


def _weights(field: JsonObject) -> dict[str, float]:
    return {term: float(weight) for term, weight in field.items() if isinstance(weight, int | float)}


async def _drawn(engine: Engine, index: str, meta: IndexMeta, dialect: Dialect, size: int) -> list[StoredDocument]:
    present = dialect.presence_filter(meta.vector_field, meta.fingerprint)
    body: JsonObject = {
        "query": {"function_score": {"query": present, "random_score": {}, "boost_mode": "replace"}},
        "size": size,
        "_source": False,
        "seq_no_primary_term": True,
        "track_total_hits": False,
    }
    answer = await engine.search(index, body, timeout=60.0)
    return [document for hit in read_hits(answer.raw) if (document := StoredDocument.parse(hit)) is not None]


def _parts(documents: Sequence[StoredDocument]) -> list[Sequence[StoredDocument]]:
    return [documents[start : start + AT_ONCE] for start in range(0, len(documents), AT_ONCE)]
