"""Counting an index's own document frequencies through the sidecar, and keeping them in the index's `_meta`."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from datetime import UTC, datetime

from sidecar.client import AsyncSidecarClient
from sidecar.cluster.documents import source_text
from sidecar.cluster.models import encoder_of_index
from sidecar.domain import JsonObject, Lane, ModelInfo, Pruning, Side, WindowPolicy, Windows
from sidecar.engine import (
    CollectionFrequencies,
    Engine,
    IndexMeta,
    MigrationRecord,
    ScanSpec,
    dialect_of,
    require_one_name,
)
from sidecar.errors import EngineRejected, InvalidInput

__all__ = ["DEFAULT_SAMPLE", "LARGEST_SAMPLE", "has_query_table", "refresh_frequencies", "refresh_where_useful"]

DEFAULT_SAMPLE = 10_000
LARGEST_SAMPLE = 10_000
"""`index.max_result_window` as clusters have it by default: how deep a random order can be paged through."""

PAGE = 250
MAX_CHARACTERS = 100_000
"""Read of each text: what stands further back changes no frequency that matters."""

WHOLE = Windows(WindowPolicy.SLIDE, max_windows=1_000)


def has_query_table(model: ModelInfo) -> bool:
    """Tell whether the model looks queries up, so that a text's query terms are exactly its own terms."""
    return model.query_mode in ("idf", "binary")


async def refresh_frequencies(
    engine: Engine,
    sidecar: AsyncSidecarClient,
    index: str,
    *,
    model: str | None = None,
    fingerprint: str | None = None,
    sample: int = DEFAULT_SAMPLE,
) -> CollectionFrequencies:
    """Count on at most `sample` documents, drawn at random where the index has more, and write the table to `_meta`.

    A narrower `max_result_window` of the index bounds what is drawn.

    A document's terms are what the encoder finds in its text as a query: a table look-up, no inference. Everything
    else in `_meta` stays. `fingerprint` names one of the two models of an index that is being migrated; None: the one
    that is searched. Raises InvalidInput for an encoder whose queries need inference, an index without text, and
    a name that stands for several indices.
    """
    if not 1 <= sample <= LARGEST_SAMPLE:
        raise InvalidInput(f"A sample has 1 to {LARGEST_SAMPLE:,} documents.", field="sample")
    require_one_name(index)
    meta = await engine.index_meta(index, fingerprint)
    encoder = encoder_of_index(await sidecar.models(), meta, index, model)
    if not has_query_table(encoder):
        raise InvalidInput(
            f"{encoder.name} runs queries through the model: it has no IDF to be adapted to a collection.",
            field="model",
        )
    mappings = await engine.mappings(index)
    if len(mappings) != 1:
        raise InvalidInput(f"{index} stands for {len(mappings)} indices: name one of them.", field="index")
    name = next(iter(mappings))
    documents = await engine.count(name)
    pages = _all_texts(engine, name, meta) if documents <= sample else _random_texts(engine, name, meta, sample)
    counts, sampled = await _counted(sidecar, encoder, meta, pages)
    if not sampled:
        raise InvalidInput(f"Index {index} has no text in {', '.join(meta.source_fields)} to count on.", field="index")
    table = CollectionFrequencies.of(
        counts,
        fingerprint=meta.fingerprint,
        documents=documents,
        sampled=sampled,
        refreshed=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    # The cluster replaces `_meta` as a whole, so it is read again right before it is written.
    present = (await engine.mappings(name))[name].get("_meta")
    await engine.put_mapping(name, {"_meta": _entered(name, present if isinstance(present, dict) else {}, table)})
    return table


async def _counted(
    sidecar: AsyncSidecarClient, encoder: ModelInfo, meta: IndexMeta, pages: AsyncGenerator[list[str], None]
) -> tuple[Counter[int], int]:
    """Return in how many texts of `pages` each term id occurs, and how many texts that are."""
    counts: Counter[int] = Counter()
    sampled = 0
    async with aclosing(pages) as found:
        async for texts in found:
            if not texts:
                continue
            answer = await sidecar.encode(
                texts,
                side=Side.QUERY,
                model=encoder.name,
                pruning=Pruning(),
                windows=WHOLE,
                lane=Lane.BULK,
                expected_fingerprint=meta.fingerprint,
                timeout=120.0,
            )
            for encoding in answer.encodings:
                counts.update(encoding.vector.term_ids)
            sampled += len(texts)
    return counts, sampled


def _entered(index: str, present: JsonObject, table: CollectionFrequencies) -> JsonObject:
    """Return `_meta` with the table where its model's belongs; models may have changed places during the counting."""
    migration = MigrationRecord.parse(index, present)
    if migration is not None and migration.other.fingerprint == table.fingerprint:
        return {**present, **migration.model_copy(update={"frequencies": table}).to_mapping()}
    return {**present, **table.to_mapping()}


async def refresh_where_useful(
    engine: Engine,
    sidecar: AsyncSidecarClient,
    index: str,
    *,
    model: str | None = None,
    fingerprint: str | None = None,
) -> CollectionFrequencies | None:
    """Count as `refresh_frequencies` does; None where that makes no sense.

    That is: neural queries, no document with a vector yet, or a name that stands for several indices.
    """
    if len(await engine.mappings(index)) != 1:
        return None
    meta = await engine.index_meta(index, fingerprint)
    encoder = encoder_of_index(await sidecar.models(), meta, index, model)
    encoded = dialect_of(meta).presence_filter(meta.vector_field, meta.fingerprint)
    if not has_query_table(encoder) or not await engine.count(index, encoded):
        return None
    return await refresh_frequencies(engine, sidecar, index, model=model, fingerprint=fingerprint)


async def _all_texts(engine: Engine, index: str, meta: IndexMeta) -> AsyncGenerator[list[str], None]:
    everything = ScanSpec(index, {"match_all": {}}, meta.source_fields)
    async with engine.scan(everything) as scan, aclosing(scan.pages(0, lambda: PAGE)) as pages:
        async for page in pages:
            yield _texts([one.source for one in page], meta)


async def _random_texts(engine: Engine, index: str, meta: IndexMeta, sample: int) -> AsyncGenerator[list[str], None]:
    drawn: JsonObject = {
        "function_score": {"query": {"match_all": {}}, "random_score": {"seed": 7, "field": "_seq_no"}}
    }
    with suppress(EngineRejected):
        sample = min(sample, await engine.result_window(index) or sample)
    for start in range(0, sample, PAGE):
        body: JsonObject = {
            "query": drawn,
            "from": start,
            "size": min(PAGE, sample - start),
            "_source": list(meta.source_fields),
            "track_total_hits": False,
        }
        answer = await engine.search(index, body, timeout=60.0)
        yield _texts([hit.source for hit in answer.hits], meta)


def _texts(sources: Sequence[JsonObject], meta: IndexMeta) -> list[str]:
    found = (source_text("", source, meta)[:MAX_CHARACTERS] for source in sources)
    # A lone surrogate, which JSON allows, has no UTF-8 form.
    return [text.encode("utf-8", "replace").decode("utf-8") for text in found if text.strip()]
