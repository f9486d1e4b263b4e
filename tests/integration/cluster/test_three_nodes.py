"""Three nodes, three shards with replicas: scores and filters are those of one node."""

from __future__ import annotations

import pytest

from sidecar.cluster import IndexSpec, set_up
from sidecar.cluster.documents import write_action
from sidecar.domain import ModelInfo, ModelKind, SparseVector
from sidecar.engine import Engine, Hit
from tests.support.nodes import Node

pytestmark = pytest.mark.integration

MODEL = ModelInfo("starter", ModelKind.SPARSE_ENCODER, "0123456789abcdef" * 4, "Apache-2.0", 512, 99, "int8", True)
TERMS = ("wing", "lift", "u.s.", "##ing", "slipstream", "50%")


def vector(place: int) -> SparseVector:
    held = [(term, 0.5 + (place * 7 + n * 3) % 11) for n, term in enumerate(TERMS) if (place + n) % 3]
    held.sort(key=lambda item: -item[1])
    return SparseVector(tuple(range(len(held))), tuple(weight for _, weight in held), tuple(term for term, _ in held))


async def ranking(engine: Engine, index: str, query: SparseVector) -> list[Hit]:
    body = {"query": engine.dialect.sparse_query("splade", query), "size": 200}
    return list((await engine.search(index, body)).hits)


async def fill(engine: Engine, index: str, shards: int) -> None:
    plan = await set_up(engine, IndexSpec(index, MODEL, settings={"number_of_shards": shards}))
    actions = [
        write_action(index, str(place), {"title": f"t{place}"}, f"t{place}", vector(place), plan.meta, engine.dialect)
        for place in range(120)
    ]
    assert all(item.written for item in await engine.bulk(actions))
    await engine.refresh(index)


async def test_three_nodes_answer_as_one(opensearch_three: Node) -> None:
    assert opensearch_three.local is not None
    urls = opensearch_three.local.urls
    assert len(urls) == 3
    async with await Engine.connect(",".join(urls)) as engine:
        await fill(engine, "three", 3)
        await fill(engine, "one", 1)
        for query in (vector(1), vector(5), vector(9)):
            spread = {hit.id: hit.score for hit in await ranking(engine, "three", query)}
            together = {hit.id: hit.score for hit in await ranking(engine, "one", query)}
            exact = {str(place): query_dot(query, vector(place)) for place in range(120)}
            assert spread == together
            assert spread == pytest.approx({key: score for key, score in exact.items() if score > 0}, rel=4e-3)
        present = engine.dialect.presence_filter("splade", MODEL.fingerprint)
        assert await engine.count("three", present) == 120
    for url in urls:
        async with await Engine.connect(url) as engine:
            assert await engine.count("three") == 120
            assert (await engine.index_meta("three")).bundle == "starter"


def query_dot(query: SparseVector, document: SparseVector) -> float:
    held = document.by_term()
    return sum(weight * held.get(term, 0.0) for term, weight in query.by_term().items())
