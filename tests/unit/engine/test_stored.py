"""Documents read by their ids: in the order asked for, with what is gone left open, and errors never taken for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import JsonObject
from sidecar.engine import StoredDocument
from sidecar.engine.stored import read_hits, source_of
from sidecar.errors import EngineError, EngineRejected, EngineUnavailable, IndexNotFound
from tests.unit.cluster.recorded import recorded


def held(name: str, **more: object) -> JsonObject:
    return {"_index": "shop-1", "_id": name, "_seq_no": 7, "_primary_term": 2, "found": True, "_source": {}, **more}


def asked_for(name: str, routing: str | None = None) -> StoredDocument:
    return StoredDocument("shop-1", name, 1, 1, {"old": True}, routing)


async def test_documents_come_in_the_order_they_are_asked_for() -> None:
    docs = [held("b", _source={"text": "B"}), {"_index": "shop-1", "_id": "gone", "found": False}, held("a")]
    async with recorded({"POST /_mget": {"docs": docs}}) as (engine, cluster):
        found = await engine.stored([asked_for("b"), asked_for("gone"), asked_for("a", "r7")], ("text",))
    assert found == (
        StoredDocument("shop-1", "b", 7, 2, {"text": "B"}),
        None,
        StoredDocument("shop-1", "a", 7, 2),
    )
    only = {"includes": ["text"]}
    assert cluster.asked[-1][2] == {
        "docs": [
            {"_index": "shop-1", "_id": "b", "_source": only},
            {"_index": "shop-1", "_id": "gone", "_source": only},
            {"_index": "shop-1", "_id": "a", "_source": only, "routing": "r7"},
        ]
    }


async def test_the_same_ids_of_another_index_whole() -> None:
    async with recorded({"POST /_mget": {"docs": [held("a")]}}) as (engine, cluster):
        await engine.whole("shop-2", [asked_for("a")])
    entries = [body["docs"][0] for _, path, body in cluster.asked if path == "/_mget"]
    assert entries == [{"_index": "shop-2", "_id": "a", "_source": True}]


async def test_no_documents_are_no_request() -> None:
    async with recorded() as (engine, cluster):
        before = len(cluster.asked)
        assert await engine.stored([], ("text",)) == await engine.whole("shop", []) == ()
        assert len(cluster.asked) == before


@pytest.mark.parametrize("docs", [[], [held("a"), held("b")], None, {"a": held("a")}])
async def test_an_answer_of_another_length_is_not_matched_up(docs: object) -> None:
    async with recorded({"POST /_mget": {"docs": docs}}) as (engine, _):
        with pytest.raises(EngineUnavailable, match="another number of documents"):
            await engine.stored([asked_for("a")], ())


async def test_a_shard_that_is_away_is_not_a_document_that_is_gone() -> None:
    cause = {"type": "no_shard_available_action_exception", "reason": "no shard"}
    broken = {"_index": "shop-1", "_id": "b", "error": {"root_cause": [cause], **cause}}
    async with recorded({"POST /_mget": {"docs": [held("a"), broken]}}) as (engine, _):
        with pytest.raises(EngineUnavailable, match="no_shard_available"):
            await engine.stored([asked_for("a"), asked_for("b")], ())


@pytest.mark.parametrize(
    ("kind", "error", "said"),
    [
        ("index_not_found_exception", IndexNotFound, "shop-1"),
        ("index_closed_exception", EngineRejected, "The index is closed"),
        ("routing_missing_exception", EngineRejected, "routing_missing"),
        ("illegal_state_exception", EngineUnavailable, "illegal_state"),
    ],
)
async def test_what_lasts_is_told_as_by_every_other_request(kind: str, error: type[EngineError], said: str) -> None:
    cause = {"type": kind, "reason": "no such index [shop-1]", "index": "shop-1"}
    broken = {"_index": "shop-1", "_id": "b", "error": {"root_cause": [cause], **cause}}
    async with recorded({"POST /_mget": {"docs": [held("a"), broken]}}) as (engine, cluster):
        with pytest.raises(EngineError, match=said) as raised:
            await engine.whole("shop-1", [asked_for("a"), asked_for("b")])
        assert type(raised.value) is error
        assert sum(path == "/_mget" for _, path, _ in cluster.asked) == 1


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        (held("a"), StoredDocument("shop-1", "a", 7, 2)),
        (held("a", _routing="r"), StoredDocument("shop-1", "a", 7, 2, {}, "r")),
        (held("a", _source=None), StoredDocument("shop-1", "a", 7, 2)),
        ({"_index": "shop-1", "_id": "a", "found": False}, None),
        ({"_index": "shop-1", "_id": "a", "_seq_no": 3}, None),
    ],
)
def test_one_entry(entry: JsonObject, found: StoredDocument | None) -> None:
    assert StoredDocument.parse(entry) == found


@pytest.mark.parametrize("answer", [{}, {"hits": None}, {"hits": {"hits": "many"}}, {"hits": {"hits": [None, 3]}}])
def test_an_answer_without_hits(answer: JsonObject) -> None:
    assert read_hits(answer) == []


@given(st.lists(st.text(max_size=5), max_size=4))
def test_a_request_asks_for_its_fields_and_never_for_an_empty_list(fields: list[str]) -> None:
    assert source_of(fields) == ({"includes": fields} if fields else False)
