"""Queries on a real OpenSearch: BM25 against sparse vectors in its several forms, on the same documents."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack

from benchmarks.bench import Bench, Found
from benchmarks.cluster import connected
from benchmarks.corpus import EncodedCorpus, encoded_corpus
from benchmarks.results import Measured, medians, ratio
from benchmarks.texts import read_texts
from benchmarks.timing import percentile
from sidecar.domain import JsonObject, SparseVector
from sidecar.engine import BulkAction, Engine, RankFeatures

__all__ = ["measure"]

COLLECTIONS = ("checkthat2020", "cosqa")
"""Short queries against short claims, and search-engine questions against code: both wordy."""

SIZE = 10
WINDOW = 50
WRITTEN_AT_ONCE = 500
SPLIT = 0.4
"""Two phases: terms below this share of the heaviest only rescore the first WINDOW documents."""

PRUNED = 0.4
"""Pruned queries: the same terms are left out altogether."""

DIALECT = RankFeatures()
Asked = Callable[[str, SparseVector], JsonObject]


async def measure(bench: Bench) -> Found:
    """Every query goes to every variant in turn, so that each round's ratios are of the same minute."""
    texts = read_texts(bench.collections, COLLECTIONS)
    base = texts.documents[: bench.sizes.searched]
    queries = texts.queries[: bench.sizes.queries]
    corpus = await encoded_corpus(bench, base, queries)
    repeated = [number % len(base) for number in range(bench.sizes.searched)]
    names = {kind: f"sidecar-bench-{kind}" for kind in ("all", "lean", "fat")}
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(connected(bench))
        bench.figures |= {
            "search.documents": float(len(repeated)),
            "search.distinct documents": float(len(base)),
            "search.terms per document": _mean(len(vector) for vector in corpus.vectors),
            "search.terms per document with floor": _mean(len(vector) for vector in corpus.floored),
            "search.terms per query": _mean(len(vector) for _, vector in corpus.queries),
        }
        for name in names.values():
            await engine.delete_index(name, missing_ok=True)
        try:
            for kind, name in names.items():
                await _fill(bench, engine, name, corpus, repeated, floored=kind == "all", kept=kind == "fat")
            sizes = {kind: await engine.index_size(name) for kind, name in names.items()}
            rounds = await _rounds(bench, engine, names, corpus)
        finally:
            for name in names.values():
                await engine.delete_index(name, missing_ok=True)
    bench.figures |= {f"search.{name} index MB": size / 1e6 for name, size in sizes.items()}
    bench.figures |= {f"search.{name} ms": value for name, value in medians(rounds).items()}
    return {
        "search.p50": ratio(rounds["sparse p50"], rounds["bm25 p50"]),
        "search.p99": ratio(rounds["sparse p99"], rounds["bm25 p99"]),
        "search.floor_p50": ratio(rounds["floor p50"], rounds["bm25 p50"]),
        "search.floor_p99": ratio(rounds["floor p99"], rounds["bm25 p99"]),
        "search.two_phase_p50": ratio(rounds["two-phase p50"], rounds["bm25 p50"]),
        "search.pruned_p50": ratio(rounds["pruned p50"], rounds["bm25 p50"]),
        "search.counted_p50": ratio(rounds["counted p50"], rounds["sparse p50"]),
        "search.source_size": Measured(sizes["fat"] / sizes["lean"], 0.0),
        "search.source_p50": ratio(rounds["fields, fat p50"], rounds["fields, lean p50"]),
    }


def variants(names: Mapping[str, str]) -> dict[str, tuple[str, Asked]]:
    """Return each variant's index and body."""

    def lean(query: JsonObject, **more: object) -> JsonObject:
        body: dict[str, object] = {"query": query, "size": SIZE, "_source": False, "track_total_hits": False}
        return {**body, **more}  # type: ignore[dict-item]  # values are JSON

    def sparse(field: str, vector: SparseVector) -> JsonObject:
        return DIALECT.sparse_query(field, vector)

    def two_phase(text: str, vector: SparseVector) -> JsonObject:
        heavy, light = split(vector, SPLIT)
        if not len(light):
            return lean(sparse("vector", heavy))
        rescore: JsonObject = {"window_size": WINDOW, "query": {"rescore_query": sparse("vector", light)}}
        return lean(sparse("vector", heavy), rescore=rescore)

    index = names["all"]
    fields = {"excludes": ["vector"]}
    return {
        "bm25": (index, lambda text, vector: lean({"match": {"text": text}})),
        "sparse": (index, lambda text, vector: lean(sparse("vector", vector))),
        "floor": (index, lambda text, vector: lean(sparse("floored", vector))),
        "two-phase": (index, two_phase),
        "pruned": (index, lambda text, vector: lean(sparse("vector", split(vector, PRUNED)[0]))),
        "counted": (index, lambda text, vector: lean(sparse("vector", vector), track_total_hits=True)),
        "fields, lean": (names["lean"], lambda text, vector: lean(sparse("vector", vector), _source=fields)),
        "fields, fat": (names["fat"], lambda text, vector: lean(sparse("vector", vector), _source=fields)),
    }


def split(vector: SparseVector, share: float) -> tuple[SparseVector, SparseVector]:
    """Return the terms with at least `share` of the largest weight, and the others; weights are descending."""
    bound = share * vector.weights[0]
    kept = sum(weight >= bound for weight in vector.weights)
    parts = (slice(None, kept), slice(kept, None))
    heavy, light = (SparseVector(vector.term_ids[at], vector.weights[at], vector.terms[at]) for at in parts)
    return heavy, light


async def _rounds(
    bench: Bench, engine: Engine, names: Mapping[str, str], corpus: EncodedCorpus
) -> dict[str, list[float]]:
    asked = variants(names)
    rounds: dict[str, list[float]] = {f"{name} {part}": [] for name in asked for part in ("p50", "p99")}
    for number in range(-1, bench.sizes.rounds):
        bench.say(f"searching, round {number + 1} of {bench.sizes.rounds}")
        seen: dict[str, list[float]] = {name: [] for name in asked}
        for place, (text, vector) in enumerate(corpus.queries):
            order = list(asked)
            turn = place % len(order)
            for name in (*order[turn:], *order[:turn]):
                index, body_of = asked[name]
                body = body_of(text, vector)
                started = time.perf_counter()
                await engine.search(index, body)
                seen[name].append((time.perf_counter() - started) * 1_000)
        if number >= 0:
            for name, values in seen.items():
                rounds[f"{name} p50"].append(percentile(values, 0.5))
                rounds[f"{name} p99"].append(percentile(values, 0.99))
    return rounds


async def _fill(
    bench: Bench, engine: Engine, name: str, corpus: EncodedCorpus, repeated: list[int], *, floored: bool, kept: bool
) -> None:
    """Index the documents, merged into one segment; `floored` adds the second field, `kept` leaves it in `_source`."""
    vectors = {"vector": corpus.vectors, **({"floored": corpus.floored} if floored else {})}
    mapping: dict[str, object] = {
        "dynamic": False,
        "properties": {
            "text": {"type": "text", "analyzer": "english"},
            **{field: DIALECT.field_mapping() for field in vectors},
        },
    }
    if not kept:
        mapping["_source"] = {"excludes": list(vectors)}
    settings = {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "-1"}
    await engine.create_index(name, {"settings": settings, "mappings": mapping})  # type: ignore[dict-item]  # JSON
    for start in range(0, len(repeated), WRITTEN_AT_ONCE):
        actions = [
            BulkAction(name, str(start + place), _document(bench, corpus.texts[number], vectors, number))
            for place, number in enumerate(repeated[start : start + WRITTEN_AT_ONCE])
        ]
        await engine.bulk(actions)
        if start % 5_000 == 0:
            bench.say(f"filling {name}: {start} of {len(repeated)}")
    await engine.refresh(name)
    await engine.force_merge(name)


def _document(bench: Bench, text: str, vectors: Mapping[str, Sequence[SparseVector]], number: int) -> JsonObject:
    fields = {
        field: DIALECT.document_features(values[number], bench.sparse.fingerprint) for field, values in vectors.items()
    }
    return {"text": text, **fields}


def _mean(values: Iterable[int]) -> float:
    found = list(values)
    return sum(found) / max(1, len(found))
