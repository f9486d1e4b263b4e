"""Three nodes, three shards with replicas: scores and filters are those of one node."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from itertools import product

import pytest

from sidecar.cluster import IndexSpec, set_up
from sidecar.cluster.documents import write_action
from sidecar.domain import JsonObject, ModelInfo, ModelKind, SparseVector
from sidecar.engine import BulkAction, Engine, Hit, SearchResponse
from sidecar.engine.local import LocalNode
from sidecar.engine.local.node import TRANSPORT_PORTS
from sidecar.errors import EngineRejected
from tests.support.dialects import check_dialect
from tests.support.nodes import ignore_disk

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


@pytest.fixture(scope="module")
def three_nodes() -> Iterator[tuple[str, ...]]:
    """The addresses of three nodes, which found each other although others have the first ports.

    By themselves nodes look for others on six ports: two more clusters on the machine have taken those.
    """
    hosts = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
    with ExitStack() as taken:
        for (family, host), number in product(hosts, range(8)):
            # Whoever has it already takes it as well.
            with suppress(OSError):
                taken.enter_context(socket.create_server((host, TRANSPORT_PORTS.start + number), family=family))
        with LocalNode(nodes=3, port=0) as node:
            ignore_disk(node.url)
            yield node.urls


async def test_three_nodes_find_each_other_where_others_have_the_first_ports(three_nodes: tuple[str, ...]) -> None:
    assert len(three_nodes) == 3
    async with await Engine.connect(three_nodes[0]) as engine:
        assert (await engine.read("GET", "/_cluster/health"))["number_of_nodes"] == 3
        await check_dialect(engine, "rank_features")


async def test_three_nodes_answer_as_one(three_nodes: tuple[str, ...]) -> None:
    async with await Engine.connect(",".join(three_nodes)) as engine:
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
    for url in three_nodes:
        async with await Engine.connect(url) as engine:
            assert await engine.count("three") == 120
            assert (await engine.index_meta("three")).bundle == "starter"


async def test_searches_of_one_session_are_answered_by_one_copy(three_nodes: tuple[str, ...]) -> None:
    async with await Engine.connect(",".join(three_nodes)) as engine:
        await engine.create_index("copies", {"settings": {"number_of_shards": 1, "number_of_replicas": 2}})
        written = await engine.bulk([BulkAction("copies", str(n), {"n": n}) for n in range(10)], refresh=True)
        assert all(item.written for item in written)
        await engine.read(
            "GET", "/_cluster/health/copies", {"wait_for_status": "green", "timeout": "60s"}, timeout=70.0
        )
        # What is explained says which node answered.
        body: JsonObject = {"query": {"match_all": {}}, "explain": True, "size": 1}
        seen = set()
        for session in ("kim", "lee", "a session with spaces", "ä/?&=+", "5", "six", "7", "eight"):
            answered = set()
            for _ in range(6):
                one = engine.preferring(session)
                alone, *both = (await one.search("copies", body), *await one.multi_search("copies", [body, body]))
                answered |= {node_of(answer) for answer in (alone, *both)}
            assert len(answered) == 1, session
            seen |= answered
        assert len(seen) > 1, "other sessions are answered by other copies"
        with pytest.raises(EngineRejected, match="Preference"):
            await engine.preferring("_nobody").search("copies", body)
        await engine.delete_index("copies")


def node_of(answer: SearchResponse) -> str:
    outer = answer.raw["hits"]
    assert isinstance(outer, dict)
    return outer["hits"][0]["_node"]


def query_dot(query: SparseVector, document: SparseVector) -> float:
    held = document.by_term()
    return sum(weight * held.get(term, 0.0) for term, weight in query.by_term().items())
