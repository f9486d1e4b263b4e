"""A collection in an index of its own, for as long as it is measured."""

from __future__ import annotations

import io
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import orjson

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters, IndexOptions, IndexRun, IndexSpec, IndexSummary, Source, pick_encoder, set_up
from sidecar.cluster.frequencies import has_query_table, refresh_frequencies
from sidecar.cluster.spec import DEFAULT_LEXICAL_FIELD, PASSAGE_FIELD, VECTOR_FIELD
from sidecar.domain import Windows
from sidecar.engine import Engine, IndexMeta, PassageRule
from sidecar.errors import EvaluationError
from sidecar.evaluation.collection import FIELDS, Collection
from sidecar.search import Profile

__all__ = ["Indexed", "indexed_collection", "require_searched_fields"]

SEARCHED_FIELDS = (*FIELDS, DEFAULT_LEXICAL_FIELD)
"""The fields that words are searched in."""

LONGEST_NAME = 200
"""Bytes of a collection's name in its index's."""

SETTINGS: dict[str, str | int | float | bool] = {
    "number_of_shards": 1,
    "number_of_replicas": 0,
    "auto_expand_replicas": "false",
    "store.stats_refresh_interval": "0s",
}
"""One shard: document frequencies are those of the whole collection, as in everything that is compared with it. The
size is looked at when it is asked for: by default a cluster tells the one of ten seconds ago, from before the merge."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """A collection's index, merged into one segment."""

    name: str
    meta: IndexMeta
    summary: IndexSummary
    size_bytes: int


def require_searched_fields(profiles: Iterable[Profile]) -> None:
    """Raise EvaluationError where a profile searches for words in a field that a collection's index does not have."""
    for profile in profiles:
        fields = () if profile.lexical is None else profile.lexical.field_names
        unknown = [field for field in fields if field not in SEARCHED_FIELDS]
        if unknown:
            raise EvaluationError(
                f"The profile {profile.name} searches for words in {', '.join(unknown)}: documents of a collection have"
                f" {', '.join(SEARCHED_FIELDS)}."
            )


@asynccontextmanager
async def indexed_collection(
    engine: Engine,
    sidecar: AsyncSidecarClient,
    collection: Collection,
    *,
    model: str | None = None,
    windows: Windows | None = None,
    passages: PassageRule | None = None,
    progress: Callable[[IndexSummary], None] | None = None,
) -> AsyncIterator[Indexed]:
    """Set an index up, fill it, merge it to one segment, and delete it in the end, whatever happens.

    `passages`: documents get a vector for each of their passages instead of one.

    Raises EvaluationError unless every document of the collection is in it.
    """
    name = f"sidecar-evaluation-{_plain(collection.name)}-{uuid.uuid4().hex[:8]}"
    chosen = pick_encoder(await sidecar.models(), model)
    spec = IndexSpec(
        name,
        chosen,
        source_fields=FIELDS,
        vector_field=VECTOR_FIELD if passages is None else PASSAGE_FIELD,
        settings=SETTINGS,
        passages=passages,
    )
    plan = await set_up(engine, spec)
    try:
        lines = b"".join(
            orjson.dumps({"_id": document.id, **document.fields}) + b"\n" for document in collection.documents
        )
        options = IndexOptions() if windows is None else IndexOptions(windows=windows)
        with DeadLetters(None) as letters:
            source = Source(io.BytesIO(lines), "_id", len(lines))
            run = IndexRun(engine, sidecar, name, source, letters, options, model=chosen.name, progress=progress)
            summary = await run.run()
        if has_query_table(chosen):
            await refresh_frequencies(engine, sidecar, name, model=chosen.name)
        await engine.force_merge(name)
        await engine.refresh(name)
        count = await engine.count(name)
        if count != len(collection.documents):
            raise EvaluationError(f"{count} of {len(collection.documents)} documents of {collection.name} are indexed.")
        yield Indexed(name, plan.meta, summary, await engine.index_size(name))
    finally:
        await engine.delete_index(name, missing_ok=True)


def _plain(name: str) -> str:
    """Return as much of a name as an index may have, beside what tells it from others, in 255 bytes."""
    plain = "".join(character if character.isalnum() else "-" for character in name.lower())
    return plain.encode()[:LONGEST_NAME].decode(errors="ignore")
