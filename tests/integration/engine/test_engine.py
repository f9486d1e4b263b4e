"""The engine against a real node."""

from __future__ import annotations

import math
import uuid

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.domain import SparseVector
from sidecar.engine import BulkAction, Engine
from sidecar.errors import EngineRejected, FingerprintMismatch, IndexNotFound, IndexNotPrepared
from tests.integration.engine.conftest import META, mapping
from tests.support.nodes import Node

pytestmark = pytest.mark.integration

ODD_TERMS = (
    ".", "..", "u.s.", "a.", ".a", "1.5", "%", "%2E", "##ing", "[unused1]", "a b", " ", '"q"', "\\", "*", "?", "-",
    "naïve", "日本", "🙂", "splade", "_splade_x", "a/b", "x" * 300,
)  # fmt: skip


def vector(weighted: dict[str, float]) -> SparseVector:
    ordered = sorted(weighted.items(), key=lambda item: -item[1])
    return SparseVector(
        tuple(range(len(ordered))), tuple(weight for _, weight in ordered), tuple(term for term, _ in ordered)
    )


def write(engine: Engine, index: str, identifier: str, weighted: dict[str, float], **fields: object) -> BulkAction:
    features = engine.dialect.document_features(vector(weighted), META.fingerprint)
    return BulkAction(index, identifier, {**fields, "splade": features})


async def test_what_answers_is_known(engine: Engine) -> None:
    assert engine.info.distribution == "opensearch"
    assert engine.info.release >= (2, 0)
    assert engine.dialect.name == "rank_features"


async def test_any_term_is_found_again(engine: Engine, prepared: str) -> None:
    actions = [write(engine, prepared, str(place), {term: 2.0, "common": 1.0}) for place, term in enumerate(ODD_TERMS)]
    written = await engine.bulk(actions, refresh=True)
    assert all(item.written for item in written), written
    bodies = [{"query": engine.dialect.sparse_query("splade", vector({term: 1.5}))} for term in ODD_TERMS]
    answers = await engine.multi_search(prepared, bodies)
    for place, answer in enumerate(answers):
        assert [(hit.id, hit.score) for hit in answer.hits] == [(str(place), pytest.approx(3.0, rel=4e-3))]


weights = st.floats(0.001, 20.0)
weighted_terms = st.dictionaries(
    st.sampled_from([f"t{place}" for place in range(25)]), weights, min_size=1, max_size=15
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(weighted_terms, min_size=1, max_size=12), weighted_terms)
async def test_scores_are_the_inner_product(
    opensearch: Node, documents: list[dict[str, float]], query: dict[str, float]
) -> None:
    index = "test-inner-product"
    async with await Engine.connect(opensearch.url) as engine:
        if not await engine.index_exists(index):
            await engine.create_index(index, mapping())
        run = uuid.uuid4().int % 2**31
        actions = [write(engine, index, f"{run}-{place}", one, n=run) for place, one in enumerate(documents)]
        assert all(item.written for item in await engine.bulk(actions, refresh=True))
        scored = engine.dialect.sparse_query("splade", vector(query), boost=0.5)
        body = {"query": {"bool": {"must": [scored], "filter": [{"term": {"n": run}}]}}, "size": 50}
        found = {hit.id: hit.score for hit in (await engine.search(index, body)).hits}
    exact = {
        f"{run}-{place}": 0.5 * math.fsum(weight * one[term] for term, weight in query.items() if term in one)
        for place, one in enumerate(documents)
        if one.keys() & query.keys()
    }
    assert found == pytest.approx(exact, rel=4e-3)


async def test_the_presence_filter_tells_models_apart(engine: Engine, prepared: str) -> None:
    await engine.bulk(
        [
            write(engine, prepared, "with", {"a": 1.0}),
            BulkAction(prepared, "without", {"text": "nothing here"}),
            BulkAction(prepared, "older", {"splade": engine.dialect.document_features(vector({"a": 1.0}), "ff" * 32)}),
        ],
        refresh=True,
    )
    present = engine.dialect.presence_filter("splade", META.fingerprint)
    assert [hit.id for hit in (await engine.search(prepared, {"query": present})).hits] == ["with"]
    absent = {"bool": {"must_not": [present]}}
    assert {hit.id for hit in (await engine.search(prepared, {"query": absent})).hits} == {"without", "older"}
    assert await engine.count(prepared, present) == 1


async def test_the_presence_filter_adds_no_score(engine: Engine, prepared: str) -> None:
    await engine.bulk([write(engine, prepared, "1", {"a": 2.0})], refresh=True)
    query = {
        "bool": {
            "must": [engine.dialect.sparse_query("splade", vector({"a": 1.0}))],
            "filter": [engine.dialect.presence_filter("splade", META.fingerprint)],
        }
    }
    assert (await engine.search(prepared, {"query": query})).hits[0].score == pytest.approx(2.0)


async def raw(url: str, path: str, body: dict[str, object]) -> tuple[int, dict[str, object]]:
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{url}{path}", json=body)
        return answer.status_code, answer.json()


async def test_what_others_do_to_a_vector(opensearch: Node, engine: Engine, prepared: str) -> None:
    """The facts about clusters that the dialect is built around: when one of them changes, so may the dialect."""
    await engine.bulk([write(engine, prepared, "1", {"a": 1.0, "b": 2.0}, n=1)])
    await raw(opensearch.url, f"/{prepared}/_update/1", {"doc": {"n": 2}})
    kept = await engine.get(prepared, "1")
    assert kept is not None
    assert set(kept["splade"]) == {"a", "b", "_splade_0123456789abcdef"}
    await raw(opensearch.url, f"/{prepared}/_update/1", {"doc": {"splade": {"c": 3.0}}})
    merged = await engine.get(prepared, "1")
    assert merged is not None
    assert set(merged["splade"]) == {"a", "b", "c", "_splade_0123456789abcdef"}, "a partial update merges"
    await engine.bulk([BulkAction(prepared, "1", {"n": 3})], refresh=True)
    assert await engine.count(prepared, engine.dialect.presence_filter("splade", META.fingerprint)) == 0
    with pytest.raises(EngineRejected):
        await engine.count(prepared, {"exists": {"field": "splade"}})
    await engine.bulk([BulkAction(prepared, "2", {"splade": {"u.s.": 1.0}})], refresh=True)
    dotted = {"rank_feature": {"field": "splade.u.s.", "linear": {}}}
    assert await engine.count(prepared, dotted) == 0, "without the escape a dotted term is never found"


async def test_a_vector_outside_the_source_is_lost_by_any_update(
    opensearch: Node, engine: Engine, index_name: str
) -> None:
    excluding = mapping()
    excluding["mappings"]["_source"] = {"excludes": ["splade"]}
    await engine.create_index(index_name, excluding)
    await engine.bulk([write(engine, index_name, "1", {"a": 1.0}, n=1)], refresh=True)
    present = engine.dialect.presence_filter("splade", META.fingerprint)
    assert await engine.count(index_name, present) == 1
    status, answer = await raw(opensearch.url, f"/{index_name}/_update/1?refresh=true", {"doc": {"n": 2}})
    assert (status, answer["result"]) == (200, "updated")
    assert await engine.count(index_name, present) == 0


async def test_a_thousand_clauses_are_accepted_and_more_terms_too(engine: Engine, prepared: str) -> None:
    heavy = {f"t{place}": 1.0 + place / 1000 for place in range(1_500)}
    await engine.bulk([write(engine, prepared, "1", {"t1499": 1.0})], refresh=True)
    body = {"query": engine.dialect.sparse_query("splade", vector(heavy))}
    assert [hit.id for hit in (await engine.search(prepared, body)).hits] == ["1"]


async def test_no_answer_carries_the_vector(engine: Engine, prepared: str) -> None:
    await engine.bulk([write(engine, prepared, "1", {"a": 2.0}, text="hello", n=1)], refresh=True)
    for asked in (None, True, "text", ["text", "splade"], {"includes": ["*"]}, {"excludes": ["n"]}):
        body = {"query": {"match_all": {}}, **({} if asked is None else {"_source": asked})}
        (one,) = (await engine.search(prepared, body)).hits
        (other,) = (await engine.multi_search(prepared, [body]))[0].hits
        assert one.source == other.source
        assert one.source["text"] == "hello"
        assert "splade" not in one.source
    assert "splade" in (await engine.get(prepared, "1") or {})


async def test_getting_what_is_not_there(engine: Engine, prepared: str) -> None:
    assert await engine.get(prepared, "nobody") is None
    with pytest.raises(IndexNotFound):
        await engine.get("test-no-such-index", "1")


async def test_many_searches_in_one_request(engine: Engine, prepared: str) -> None:
    await engine.bulk([write(engine, prepared, str(n), {"a": 1.0}, n=n) for n in range(5)], refresh=True)
    bodies = [{"query": {"term": {"n": n}}} for n in range(5)]
    answers = await engine.multi_search(prepared, bodies)
    assert [[hit.id for hit in answer.hits] for answer in answers] == [["0"], ["1"], ["2"], ["3"], ["4"]]
    assert await engine.multi_search(prepared, []) == ()
    with pytest.raises(EngineRejected) as caught:
        await engine.multi_search(prepared, [*bodies, {"query": {"exists": {"field": "splade"}}}])
    assert caught.value.field == "bodies[5]"
    with pytest.raises(EngineRejected, match="bogus"):
        await engine.multi_search(prepared, [*bodies, {"query": {"bogus": {}}}])


async def test_an_index_tells_which_model_filled_it(engine: Engine, prepared: str, index_name: str) -> None:
    assert await engine.index_meta(prepared) == META
    with pytest.raises(IndexNotFound):
        await engine.index_meta("test-no-such-index")
    bare = f"{index_name}-bare"
    await engine.create_index(bare, {})
    try:
        with pytest.raises(IndexNotPrepared, match=bare):
            await engine.index_meta(bare)
    finally:
        await engine.delete_index(bare)


async def test_an_alias_over_two_models_is_refused(engine: Engine, prepared: str) -> None:
    other, alias = f"{prepared}-b", f"{prepared}-both"
    aliased = {"aliases": {alias: {}}}
    await engine.create_index(other, {**mapping(META.model_copy(update={"fingerprint": "ff" * 32})), **aliased})
    third = f"{prepared}-c"
    await engine.create_index(third, {**mapping(), **aliased})
    try:
        with pytest.raises(FingerprintMismatch):
            await engine.index_meta(alias)
        await engine.delete_index(other)
        assert await engine.index_meta(alias) == META
    finally:
        await engine.delete_index(other, missing_ok=True)
        await engine.delete_index(third)


async def test_refusals_of_a_real_cluster(engine: Engine, prepared: str) -> None:
    with pytest.raises(IndexNotFound, match="test-no-such-index"):
        await engine.search("test-no-such-index", {"query": {"match_all": {}}})
    with pytest.raises(EngineRejected, match="bogus"):
        await engine.search(prepared, {"query": {"bogus": {}}})
    with pytest.raises(EngineRejected, match="resource_already_exists"):
        await engine.create_index(prepared, {})
    with pytest.raises(EngineRejected):
        await engine.put_mapping(prepared, {"properties": {"splade": {"type": "text"}}})
    with pytest.raises(IndexNotFound):
        await engine.delete_index("test-no-such-index")
    await engine.delete_index("test-no-such-index", missing_ok=True)


async def test_a_refusal_does_not_repeat_the_query(engine: Engine, prepared: str) -> None:
    with pytest.raises(EngineRejected) as caught:
        await engine.search(prepared, {"query": {"query_string": {"query": "buy (plutonium AND", "fields": ["text"]}}})
    assert "plutonium" not in caught.value.message


async def test_size_and_count(engine: Engine, prepared: str) -> None:
    await engine.bulk([write(engine, prepared, str(n), {"a": 1.0}) for n in range(50)], refresh=True)
    await engine.force_merge(prepared)
    assert await engine.count(prepared) == 50
    assert await engine.index_size(prepared) > 1_000
    assert await engine.index_exists(prepared)
    assert not await engine.index_exists("test-no-such-index")


async def test_megabytes_of_documents_are_written_without_a_warning(engine: Engine, index_name: str) -> None:
    """One body of more than a mebibyte makes aiohttp warn, and warnings are errors here."""
    await engine.create_index(index_name, {})
    actions = [BulkAction(index_name, str(number), {"text": "a few words " * 2_000}) for number in range(150)]
    items = await engine.bulk(actions)
    assert all(item.written for item in items)
    assert {item.attempts for item in items} == {1}
