"""An index that was there before the sidecar, on OpenSearch and on Elasticsearch, and searches for words in its fields.

It has no field that all its text is copied to: setup is given the title for one.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters, IndexSpec, pick_encoder, set_up
from sidecar.cluster.reconcile import ReconcileRun
from sidecar.domain import JsonObject
from sidecar.engine import BulkAction, Engine
from sidecar.search import AsyncSearcher, Profile
from tests.integration.search.conftest import World, documents
from tests.support.nodes import Node

QUERY = "a wolf near the river"
TEXT, ENGLISH = {"type": "text"}, {"type": "text", "analyzer": "english"}

PROPERTIES: JsonObject = {
    "title": {**ENGLISH, "fields": {"plain": TEXT}},
    "body": ENGLISH,
    "maker": {"properties": {"name": TEXT}},
    "tags": {"type": "keyword"},
    "number": {"type": "integer"},
}
SINGLE = {"number_of_shards": 1, "number_of_replicas": 0}

WAYS = {
    "best": {"fields": ["title^3", "body"]},
    "tied": {"fields": ["title^3", "body", "maker.name"], "tie_breaker": 0.3},
    "most": {"fields": ["title^3", "title.plain", "body"], "type": "most_fields"},
    "cross": {"fields": ["title", "body^2", "tags"], "type": "cross_fields", "tie_breaker": 0.1},
    "all": {"fields": ["title", "body"], "type": "cross_fields", "operator": "and"},
    "some": {"fields": ["title", "body"], "minimum_should_match": "2<75%"},
    "fuzzy": {"fields": ["title^3", "body"], "fuzziness": "AUTO"},
    "phrase": {"fields": ["title", "body"], "type": "phrase"},
    "tags": {"fields": ["title", "tags^4"]},
    "one": {"minimum_should_match": "50%", "fuzziness": 1},
}


def stored() -> dict[str, JsonObject]:
    """The corpus with its text in `body`, its animal as a tag, and a maker."""
    return {
        str(one["_id"]): {
            "title": one["title"],
            "body": one["text"],
            "number": one["number"],
            "tags": str(one["title"]).split()[1:],
            "maker": {"name": "the wolf river company" if int(str(one["number"])) % 7 == 0 else "somebody"},
        }
        for one in documents()
    }


async def fill(url: str, target: str, index: str) -> None:
    async with await Engine.connect(url) as engine, AsyncSidecarClient(target, timeout=60.0) as client:
        await engine.create_index(index, {"settings": SINGLE, "mappings": {"properties": PROPERTIES}})
        actions = [BulkAction(index, name, source) for name, source in stored().items()]
        await engine.bulk(actions, refresh=True)
        encoder = pick_encoder(await client.models(), None)
        await set_up(engine, IndexSpec(index, encoder, source_fields=("title", "body"), lexical_field="title"))
        with DeadLetters(None) as letters:
            await ReconcileRun(engine, client, index, letters).run()
        await engine.refresh(index)


async def dropped(url: str, *names: str) -> None:
    async with await Engine.connect(url) as engine:
        for name in names:
            await engine.delete_index(name, missing_ok=True)


@pytest.fixture(scope="session", params=["opensearch", "elasticsearch"])
def shop(request, search_sidecar) -> Iterator[World]:
    node: Node = request.getfixturevalue(request.param)
    index = f"shop-{uuid.uuid4().hex[:8]}"
    asyncio.run(fill(node.url, search_sidecar.target, index))
    yield World(node.url, search_sidecar.target, index)
    asyncio.run(dropped(node.url, index))


@pytest.fixture
async def engine(shop):
    async with await Engine.connect(shop.url) as connected:
        yield connected


@pytest.fixture
async def client(shop):
    async with AsyncSidecarClient(shop.target, timeout=60.0) as connected:
        yield connected


def lexical(way: str) -> Profile:
    return Profile.parse({"name": way, "retrievers": [{"kind": "lexical", **WAYS[way]}]})


def hybrid(way: str, **more: object) -> Profile:
    retrievers = [{"kind": "lexical", "weight": 0.4, **WAYS[way]}, {"kind": "sparse", "weight": 0.6}]
    return Profile.parse({"name": way, "retrievers": retrievers, "timeout": 60.0, "encode_timeout": 20.0, **more})


async def searched(shop: World, engine: Engine, client: AsyncSidecarClient, profile: Profile, *args, **more):
    return await AsyncSearcher(engine, client, profile, index=shop.index).search(*args, **more)
