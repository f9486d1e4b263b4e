"""What the steps of a migration send in the dialects that no local node has, and what is refused there.

The requests are compared with what nodes with the plugins accepted; the answers are in the shapes that they gave.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from aiohttp import web

from sidecar.cluster import IndexSpec, plan_setup
from sidecar.cluster.documents import text_hash
from sidecar.cluster.migrate import (
    Candidate,
    Sample,
    Verification,
    abort,
    drop,
    mark_verified,
    plan_start,
    rollback,
    start,
    swap,
)
from sidecar.cluster.migrate.counts import FieldCounts
from sidecar.cluster.migrate.limits import aliases_are_conditional
from sidecar.cluster.mirror import find_pair
from sidecar.cluster.second_index import plan_second_index, start_second_index
from sidecar.cluster.second_index.switching import _move
from sidecar.engine import META_KEY, MIGRATION_KEY, Engine, MigrationState, PassageRule, dialect_named
from sidecar.engine.versions import ClusterInfo, Distribution
from sidecar.errors import InvalidInput, UnsupportedEngine
from tests.support.dialects import any_model
from tests.unit.cluster.recorded import Recorded, recorded

OLD, NEW = any_model("old"), any_model("new")
FIELD = f"splade_{NEW.fingerprint[:8]}"
SEISMIC = {"approximate_threshold": 1_000_000, "quantization_ceiling_ingest": 3.0, "quantization_ceiling_search": 16.0}
FIELDS = {
    "neural_sparse": {FIELD: {"type": "rank_features"}},
    "seismic": {
        FIELD: {"type": "sparse_vector", "method": {"name": "seismic", "parameters": SEISMIC}},
        f"{FIELD}_model": {"type": "keyword"},
    },
    "elasticsearch": {FIELD: {"type": "sparse_vector"}},
}
SENTINEL = f"_splade_{NEW.fingerprint[:16]}"
PRESENT = {
    "neural_sparse": {
        "bool": {"filter": [{"rank_feature": {"field": f"{FIELD}.{SENTINEL}", "linear": {}, "boost": 1.0}}]}
    },
    "seismic": {"term": {f"{FIELD}_model": {"value": NEW.fingerprint[:16]}}},
    "elasticsearch": {
        "bool": {"filter": [{"sparse_vector": {"field": FIELD, "query_vector": {SENTINEL: 1.0}, "prune": False}}]}
    },
}
DIALECTS = pytest.mark.parametrize("dialect", FIELDS)


def root(number: str, distribution: str = "elasticsearch") -> dict[str, object]:
    if distribution == "opensearch":
        version = {"distribution": "opensearch", "number": number}
        return {"cluster_name": "c", "version": version, "tagline": "The OpenSearch Project: https://opensearch.org/"}
    return {"cluster_name": "c", "version": {"number": number}, "tagline": "You Know, for Search"}


def roots(dialect: str) -> dict[str, object]:
    return {"GET /": root("8.15.0")} if dialect == "elasticsearch" else {}


@dataclass
class Remembering(Recorded):
    """Keeps the mappings it is sent, as every cluster does: `_meta` as a whole, properties one by one."""

    async def handle(self, request: web.Request) -> web.Response:
        index, _, rest = request.path.strip("/").partition("/")
        if request.method == "PUT" and (rest == "_mapping" or (index and not rest and not index.startswith("_"))):
            body = await request.json()
            sent = body if rest else body["mappings"]
            held = self.answers.get(f"GET /{index}/_mapping", {index: {"mappings": {}}})[index]["mappings"]
            properties = {**held.get("properties", {}), **sent.get("properties", {})}
            merged = {**held, **sent, "properties": properties}
            self.answers[f"GET /{index}/_mapping"] = {index: {"mappings": merged}}
            self.answers[f"{request.method} {request.path}"] = {"acknowledged": True}
        return await super().handle(request)

    def sent(self, method: str, path: str) -> list[dict]:
        return [body for verb, asked, body in self.asked if verb == method and asked.partition("?")[0] == path]


async def prepared(engine: Engine, cluster: Recorded, index: str, dialect: str, **more: object) -> None:
    """Make the old model's index, by setup's own request; what is asked from now on is the test's."""
    plan = await plan_setup(engine, IndexSpec(index, OLD, dialect=dialect, **more))
    await engine.send("PUT", f"/{index}", plan.requests[0].body)
    cluster.asked.clear()


def answers(index: str, dialect: str, **settings: str) -> dict[str, object]:
    return {
        **roots(dialect),
        f"POST /{index}/_count": {"count": 3},
        f"POST /{index}/_refresh": {},
        f"GET /{index}/_settings": {index: {"settings": {"index.number_of_shards": "1", **settings}}},
    }


@DIALECTS
async def test_start_adds_the_fields_as_nodes_take_them(dialect: str) -> None:
    async with recorded(answers("shop", dialect), Remembering) as (engine, cluster):
        await prepared(engine, cluster, "shop", dialect)
        plan = await plan_start(engine, "shop", Candidate(NEW))
        assert not cluster.sent("PUT", "/shop/_mapping")
        (request,) = plan.requests
        assert (request.method, request.path) == ("PUT", "/shop/_mapping")
        assert request.body["properties"] == {**FIELDS[dialect], f"{FIELD}_hash": {"type": "keyword"}}
        assert request.body["_meta"][META_KEY]["fingerprint"] == OLD.fingerprint
        candidate = request.body["_meta"][MIGRATION_KEY]["candidate"]
        assert (candidate["dialect"], candidate["vector_field"]) == (dialect, FIELD)


@DIALECTS
async def test_swap_and_rollback_change_places_in_one_request(dialect: str) -> None:
    async with recorded(answers("shop", dialect), Remembering) as (engine, cluster):
        await prepared(engine, cluster, "shop", dialect)
        record = (await start(engine, "shop", Candidate(NEW))).record
        counts = FieldCounts(3, 3, 0, 0)
        await mark_verified(engine, Verification("shop", record.candidate, counts, 0, Sample()))
        cluster.asked.clear()
        cluster.answers["POST /shop/_count"] = {"count": 0}
        assert (await swap(engine, "shop")).state is MigrationState.SWAPPED
        missing = {"bool": {"must_not": [PRESENT[dialect], {"term": {f"{FIELD}_hash": text_hash("")}}]}}
        assert cluster.sent("POST", "/shop/_count") == [{"query": missing}]
        (changed,) = cluster.sent("PUT", "/shop/_mapping")
        assert set(changed) == {"_meta"}
        assert (changed["_meta"][META_KEY]["fingerprint"], changed["_meta"][META_KEY]["vector_field"]) == (
            NEW.fingerprint,
            FIELD,
        )
        cluster.asked.clear()
        assert (await rollback(engine, "shop")).state is MigrationState.FILLING
        (back,) = cluster.sent("PUT", "/shop/_mapping")
        assert back["_meta"][META_KEY]["fingerprint"] == OLD.fingerprint
        assert back["_meta"][MIGRATION_KEY]["state"] == "filling"


@DIALECTS
@pytest.mark.parametrize("end", ["drop", "abort"])
async def test_the_end_takes_every_field_of_one_model_out(dialect: str, end: str) -> None:
    async with recorded(answers("shop", dialect), Remembering) as (engine, cluster):
        await prepared(engine, cluster, "shop", dialect)
        await start(engine, "shop", Candidate(NEW))
        if end == "drop":
            await swap(engine, "shop", force=True)
        cluster.asked.clear()
        cluster.answers["POST /shop/_count"] = [{"count": 3}, {"count": 0}]
        cluster.answers["POST /shop/_update_by_query"] = {"updated": 3}
        removed = await (drop if end == "drop" else abort)(engine, "shop", settle=0.0)
        stem = "splade" if end == "drop" else FIELD
        fields = [*dialect_named(dialect).written_fields(stem), f"{stem}_hash"]
        assert (removed.documents, list(removed.fields)) == (3, fields)
        assert (f"{stem}_model" in fields) == (dialect == "seismic")
        (body,) = cluster.sent("POST", "/shop/_update_by_query")
        assert body["query"] == {"exists": {"field": f"{stem}_hash"}}
        assert body["script"]["params"] == {"fields": fields}
        assert MIGRATION_KEY not in cluster.sent("PUT", "/shop/_mapping")[-1]["_meta"]


@pytest.mark.parametrize(
    ("documents", "shards", "refused"), [(400_000, 1, False), (500_000, 1, True), (900_000, 2, False)]
)
async def test_a_large_seismic_index_gets_no_second_field(documents: int, shards: int, refused: bool) -> None:
    """Until it is filled most segments lack it, and a merge with those loses its postings."""
    given = answers("shop", "seismic", **{"index.number_of_shards": str(shards)})
    async with recorded({**given, "POST /shop/_count": {"count": documents}}, Remembering) as (engine, cluster):
        await prepared(engine, cluster, "shop", "seismic")
        if refused:
            with pytest.raises(InvalidInput, match="--into"):
                await plan_start(engine, "shop", Candidate(NEW))
            assert all(method != "PUT" for method, _, _ in cluster.asked)
        else:
            assert (await plan_start(engine, "shop", Candidate(NEW))).requests


async def test_a_vocabulary_that_seismic_folds_is_refused() -> None:
    large = any_model("new", vocabulary_size=105_879)
    given = {**answers("shop-1", "seismic"), "GET /_alias/shop": {"shop-1": {}}}
    async with recorded(given, Remembering) as (engine, cluster):
        await prepared(engine, cluster, "shop-1", "seismic")
        cluster.answers["GET /shop/_mapping"] = cluster.answers["GET /shop-1/_mapping"]
        with pytest.raises(InvalidInput, match="105879"):
            await plan_start(engine, "shop-1", Candidate(large))
        with pytest.raises(InvalidInput, match="105879"):
            await plan_second_index(engine, "shop", "shop-2", large)


async def behind_an_alias(engine: Engine, cluster: Recorded, dialect: str, **more: object) -> None:
    await prepared(engine, cluster, "shop-1", dialect, **more)
    cluster.answers["GET /shop/_mapping"] = cluster.answers["GET /shop-1/_mapping"]
    cluster.answers["GET /_alias/shop"] = {"shop-1": {"aliases": {"shop": {}}}}
    cluster.answers["GET /shop-1,shop-2/_alias"] = {"shop-1": {"aliases": {"shop": {"is_write_index": True}}}}


@DIALECTS
async def test_the_second_index_is_of_the_same_dialect(dialect: str) -> None:
    async with recorded(answers("shop-1", dialect, **{"index.sparse": "true"}), Remembering) as (engine, cluster):
        await behind_an_alias(engine, cluster, dialect)
        plan = await plan_second_index(engine, "shop", "shop-2", NEW)
    pointer, made, *beside = plan.requests
    assert (pointer.method, pointer.path) == ("PUT", "/shop-1/_mapping")
    assert (made.method, made.path) == ("PUT", "/shop-2")
    assert made.body["settings"]["index.sparse"] == "true", "without it a large seismic segment fails every search"
    properties = made.body["mappings"]["properties"]
    for name, definition in FIELDS[dialect].items():
        assert properties[name.replace(FIELD, "splade")] == definition
    pipelines = [] if dialect == "elasticsearch" else ["/_search/pipeline/splade-sidecar-shop-2"]
    assert [request.path for request in beside] == pipelines
    told = [note for note in plan.notes if "splade-sidecar-shop-1" in note and "splade-sidecar-shop-2" in note]
    assert len(told) == len(pipelines), "searches that name the old index's pipeline fail after the drop"


async def test_a_second_index_with_passages_has_no_pipeline_either() -> None:
    async with recorded(answers("shop-1", "neural_sparse"), Remembering) as (engine, cluster):
        await behind_an_alias(engine, cluster, "neural_sparse", passages=PassageRule())
        plan = await plan_second_index(engine, "shop", "shop-2", NEW)
    assert [request.path for request in plan.requests] == ["/shop-1/_mapping", "/shop-2"]
    assert plan.requests[1].body["mappings"]["_meta"]["splade_sidecar_setup"]["search_pipeline"] is None


@pytest.mark.parametrize(
    ("version", "setting", "refused"),
    [("8.19.0", None, False), ("9.1.4", None, False), ("9.2.0", None, True), ("9.2.0", "false", False)],
)
async def test_vectors_that_are_kept_out_of_documents(version: str, setting: str | None, refused: bool) -> None:
    """Elasticsearch leaves them out of `_source` from 9.2 on; a copy could never be found equal, nor filled."""
    settings = {} if setting is None else {"index.mapping.exclude_source_vectors": setting}
    given = {**answers("shop-1", "elasticsearch", **settings), "GET /": root(version)}
    async with recorded(given, Remembering) as (engine, cluster):
        await behind_an_alias(engine, cluster, "elasticsearch")
        if refused:
            with pytest.raises(InvalidInput, match="leave --into out"):
                await plan_second_index(engine, "shop", "shop-2", NEW)
        else:
            made = (await plan_second_index(engine, "shop", "shop-2", NEW)).requests[1]
            assert made.body["settings"].get("index.mapping.exclude_source_vectors") == setting
        assert (await plan_start(engine, "shop-1", Candidate(NEW))).requests


@pytest.mark.parametrize(("version", "kept"), [("9.1.4", None), ("9.2.0", False), ("10.0.0", False)])
async def test_setup_keeps_vectors_in_documents(version: str, kept: bool | None) -> None:
    async with recorded({"GET /": root(version)}) as (engine, _):
        (made,) = (await plan_setup(engine, IndexSpec("shop", OLD, settings={"number_of_shards": 2}))).requests
    settings = made.body["settings"]["index"]
    assert settings.get("mapping.exclude_source_vectors") is kept
    assert settings["number_of_shards"] == 2


async def test_a_cluster_that_can_not_refuse_writes() -> None:
    given = {**answers("shop-1", "rank_features_saturation"), "GET /": root("7.8.1")}
    async with recorded(given, Remembering) as (engine, cluster):
        await behind_an_alias(engine, cluster, "rank_features_saturation")
        with pytest.raises(UnsupportedEngine, match=r"7\.9"):
            await plan_second_index(engine, "shop", "shop-2", NEW)


@pytest.mark.parametrize(
    ("distribution", "release", "known"),
    [
        (Distribution.OPENSEARCH, (2, 11), False),
        (Distribution.OPENSEARCH, (2, 12), True),
        (Distribution.OPENSEARCH, (3, 4), True),
        (Distribution.ELASTICSEARCH, (7, 10), False),
        (Distribution.ELASTICSEARCH, (7, 11), True),
        (Distribution.ELASTICSEARCH, (8, 15), True),
    ],
)
def test_which_clusters_know_must_exist(distribution: Distribution, release: tuple[int, int], known: bool) -> None:
    assert aliases_are_conditional(ClusterInfo(distribution, "x", "c", release)) is known


@DIALECTS
@pytest.mark.parametrize("old_cluster", [False, True])
async def test_the_alias_moves_in_one_request(dialect: str, old_cluster: bool) -> None:
    given = answers("shop-1", dialect, **{"index.blocks.write": "true"})
    taking = {"POST /_aliases": {}, "PUT /_search/pipeline/splade-sidecar-shop-2": {}}
    async with recorded({**given, **taking}, Remembering) as (engine, cluster):
        await behind_an_alias(engine, cluster, dialect)
        await start_second_index(engine, "shop", "shop-2", NEW)
        pair = await find_pair(engine, "shop-1")
        assert pair is not None
        if old_cluster:
            engine.info = ClusterInfo.parse(root("7.10.2"))
        await _move(engine, pair.record, pair.serving, pair.other)
        (body,) = cluster.sent("POST", "/_aliases")
    taken = {"index": "shop-1", "alias": "shop", **({} if old_cluster else {"must_exist": True})}
    assert body["actions"] == [
        {"remove": taken},
        {"add": {"index": "shop-2", "alias": "shop", "is_write_index": True}},
    ]
