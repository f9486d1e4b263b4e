"""What must hold on every cluster for every dialect it can do; used on local nodes and on Docker images."""

from __future__ import annotations

import random
import uuid

import pytest

from sidecar.cluster import IndexSpec, set_up
from sidecar.cluster.documents import text_hash, write_action
from sidecar.domain import ModelInfo, ModelKind, SparseVector
from sidecar.engine import Engine, IndexMeta, dialect_named
from sidecar.search.explain import contributions

__all__ = ["any_model", "check_dialect"]

TERMS = ("wolf", "##s", "u.s.", ".", "%", "%2E", "a.b", "-", "[unused1]", '"q"', "\\", "日本", "🐺", "1.5")
TERMS += tuple(f"term{number}" for number in range(40))


def any_model(name: str = "starter", vocabulary_size: int = 30_522) -> ModelInfo:
    """A sparse encoder as a sidecar would list it."""
    return ModelInfo(
        name, ModelKind.SPARSE_ENCODER, text_hash(name) * 2, "Apache-2.0", 512, vocabulary_size, "int8", True
    )


def any_vector(chance: random.Random, terms: int) -> SparseVector:
    ids = sorted(chance.sample(range(len(TERMS)), terms))
    weights = sorted((chance.uniform(0.1, 3.0) for _ in ids), reverse=True)
    return SparseVector(tuple(ids), tuple(weights), tuple(TERMS[place] for place in ids))


async def check_dialect(engine: Engine, name: str, *, tolerance: float = 0.005) -> None:
    """Set an index up, write documents, and compare every score with the exact inner product.

    `tolerance` is relative: nine significant bits per stored weight make 0.4 %.
    """
    index = f"test-{uuid.uuid4().hex}"
    dialect = dialect_named(name)
    chance = random.Random(7)
    documents = {str(number): any_vector(chance, chance.randint(1, 20)) for number in range(60)}
    try:
        plan = await set_up(engine, IndexSpec(index, any_model(), dialect=name))
        assert plan.meta.dialect == name
        meta = await engine.index_meta(index)
        actions = [
            write_action(index, number, {"title": "", "text": "x"}, "x", vector, meta, dialect)
            for number, vector in documents.items()
        ]
        bare = write_action(index, "bare", {"title": "", "text": ""}, "", None, meta, dialect)
        items = await engine.bulk([*actions, bare], refresh=True)
        assert all(item.written for item in items), [item.reason for item in items if not item.written]
        for query in (any_vector(chance, 12), SparseVector((2,), (90.0,), ("u.s.",))):
            await check_scores(engine, index, meta, documents, query, tolerance)
        await check_presence(engine, index, meta, len(documents))
        assert (await set_up(engine, IndexSpec(index, any_model(), dialect=name))).requests == ()
    finally:
        await engine.delete_index(index, missing_ok=True)


async def check_scores(
    engine: Engine,
    index: str,
    meta: IndexMeta,
    documents: dict[str, SparseVector],
    query: SparseVector,
    tolerance: float,
) -> None:
    dialect = dialect_named(meta.dialect)
    clause = {
        "bool": {
            "should": [dialect.sparse_query(meta.vector_field, query, 0.5, 100)],
            "minimum_should_match": 1,
            "filter": [dialect.presence_filter(meta.vector_field, meta.fingerprint)],
        }
    }
    answer = await engine.search(index, {"query": clause, "size": 100, "explain": True})
    expected = {number: 0.5 * query.dot(vector) for number, vector in documents.items()}
    assert {hit.id: hit.score for hit in answer.hits} == pytest.approx(
        {number: score for number, score in expected.items() if score > 0.0}, rel=tolerance
    )
    assert all(meta.vector_field not in hit.source for hit in answer.hits)
    best = answer.raw["hits"]["hits"][0]
    shares = contributions(best["_explanation"], meta.fingerprint, lambda name: dialect.term_of(name, query))
    assert {share.term for share in shares} == set(query.terms) & set(documents[best["_id"]].terms)
    assert sum(share.value for share in shares) == pytest.approx(best["_score"], rel=1e-3)


async def check_presence(engine: Engine, index: str, meta: IndexMeta, count: int) -> None:
    dialect = dialect_named(meta.dialect)
    there = dialect.presence_filter(meta.vector_field, meta.fingerprint)
    assert await engine.count(index, there) == count
    missing = {"bool": {"must_not": [there]}}
    assert [hit.id for hit in (await engine.search(index, {"query": missing})).hits] == ["bare"]
    other = dialect.presence_filter(meta.vector_field, any_model("successor").fingerprint)
    assert await engine.count(index, other) == 0
