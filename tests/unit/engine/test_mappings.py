"""What the engine learns from mappings, over HTTP answers of the shape that clusters give: records, holders, fields."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import JsonObject
from sidecar.engine import CollectionFrequencies, IndexMeta, MigrationRecord, PassageRule, mappings
from sidecar.engine.mappings import excluding
from sidecar.errors import EngineRejected, FingerprintMismatch, IndexNotFound, IndexNotPrepared
from tests.unit.cluster.recorded import recorded

OLD = IndexMeta(fingerprint="aa" * 32, bundle="old")
NEW = IndexMeta(fingerprint="bb" * 32, bundle="new", vector_field="splade_bb", hash_field="splade_bb_hash")
NO_HITS = {"took": 1, "hits": {"hits": []}}

names = st.text("abc.*_", min_size=1, max_size=4)
sources = st.one_of(
    st.none(),
    st.booleans(),
    names,
    st.lists(names, max_size=4),
    st.fixed_dictionaries(
        {}, optional={"includes": st.lists(names, max_size=3), "excludes": st.lists(names, max_size=3)}
    ),
)


def mapping(meta: IndexMeta, *more: Mapping[str, object]) -> JsonObject:
    entries: dict[str, object] = dict(meta.to_mapping())
    for one in more:
        entries.update(one)
    return {"mappings": {"_meta": entries, "properties": {}}}


def counted(meta: IndexMeta, sampled: int) -> JsonObject:
    table = CollectionFrequencies.of(
        {1: 3}, fingerprint=meta.fingerprint, documents=sampled, sampled=sampled, refreshed="now"
    )
    return table.to_mapping()


async def test_the_record_of_an_alias_is_that_of_all_its_indices() -> None:
    answer = {"shop-2": mapping(OLD), "shop-1": mapping(OLD)}
    async with recorded({"GET /shop/_mapping": answer}) as (engine, _):
        assert await engine.index_meta("shop") == OLD
        assert engine.holders("shop", OLD) == {"shop-1", "shop-2"}
        assert engine.holders("shop", NEW) == engine.holders("other", OLD) == frozenset()


async def test_names_are_remembered_up_to_a_bound_and_the_latest_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mappings, "MOST_NAMES", 3)
    answers = {f"GET /shop-{number}/_mapping": {f"shop-{number}": mapping(OLD)} for number in range(6)}
    async with recorded(answers) as (engine, cluster):
        for number in range(6):
            assert await engine.index_meta(f"shop-{number}") == OLD
            assert await engine.index_meta("shop-0") == OLD
        known = [number for number in range(6) if engine.holders(f"shop-{number}", OLD)]
        asked = len(cluster.asked)
        for number in known:
            assert await engine.hidden_fields(f"shop-{number}") == ("splade", "splade_hash")
        assert len(cluster.asked) == asked
        assert await engine.hidden_fields("shop-1") == ("splade", "splade_hash")
        assert len(cluster.asked) == asked + 1
    assert known == [0, 4, 5]


async def test_the_largest_sample_speaks_for_all() -> None:
    answer = {
        "a": mapping(OLD, counted(OLD, 10)),
        "b": mapping(OLD, counted(OLD, 30)),
        "c": mapping(OLD),
        "d": mapping(OLD, counted(NEW, 90)),
    }
    async with recorded({"GET /shop/_mapping": answer}) as (engine, _):
        meta, table = await engine.index_record("shop")
    assert meta == OLD
    assert table is not None
    assert table.sampled == 30


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (NEW, "different models"),
        (OLD.model_copy(update={"vector_field": "elsewhere"}), r"different fields \(splade and elsewhere\)"),
        (OLD.model_copy(update={"passages": PassageRule()}), "only some have passages"),
        (
            OLD.model_copy(update={"passages": PassageRule(), "vector_field": "splade_passages"}),
            "only some have passages",
        ),
    ],
)
async def test_indices_that_can_not_be_searched_together(other: IndexMeta, said: str) -> None:
    async with recorded({"GET /shop/_mapping": {"a": mapping(OLD), "b": mapping(other)}}) as (engine, _):
        with pytest.raises(FingerprintMismatch, match=said) as caught:
            await engine.index_meta("shop")
        assert "search them one by one" in caught.value.message
        assert engine.holders("shop", OLD) == frozenset()


async def test_indices_whose_hash_fields_differ_are_searched_together() -> None:
    other = OLD.model_copy(update={"hash_field": "other_hash", "source_fields": ("body",)})
    async with recorded({"GET /shop/_mapping": {"a": mapping(OLD), "b": mapping(other)}}) as (engine, _):
        assert await engine.index_meta("shop") == OLD


async def test_one_index_without_a_record_is_named() -> None:
    answer = {"a": mapping(OLD), "stranger": {"mappings": {"properties": {}}}}
    async with recorded({"GET /shop/_mapping": answer}) as (engine, _):
        with pytest.raises(IndexNotPrepared, match=r"stranger .*sidecar setup --index stranger"):
            await engine.index_meta("shop")


async def test_an_index_that_is_not_there() -> None:
    async with recorded({"GET /nothing-*/_mapping": {}}) as (engine, _):
        with pytest.raises(IndexNotFound):
            await engine.index_meta("shop")
        # What a pattern that matches nothing is answered by.
        with pytest.raises(IndexNotFound, match=r"nothing-\*"):
            await engine.index_meta("nothing-*")
        assert not await engine.index_exists("shop")


async def test_the_other_model_of_a_migration_is_asked_for_by_its_fingerprint() -> None:
    record = MigrationRecord(candidate=NEW, previous=OLD)
    async with recorded({"GET /shop/_mapping": {"shop": mapping(OLD, record.to_mapping())}}) as (engine, _):
        assert await engine.index_meta("shop", NEW.fingerprint) == NEW
        assert await engine.index_meta("shop") == OLD
        assert engine.holders("shop", NEW) == engine.holders("shop", OLD) == {"shop"}


async def test_a_mapping_is_read_once_for_many_searches_and_again_when_it_is_forgotten() -> None:
    answers = {"GET /shop/_mapping": {"shop": mapping(OLD)}, "POST /shop/_search": NO_HITS}
    async with recorded(answers) as (engine, cluster):
        for _ in range(3):
            await engine.search("shop", {"query": {"match_all": {}}})
        assert [path for _, path, _ in cluster.asked].count("/shop/_mapping") == 1
        engine.forget("shop")
        await engine.search("shop", {"query": {"match_all": {}}})
        assert [path for _, path, _ in cluster.asked].count("/shop/_mapping") == 2
        sent = [body for _, path, body in cluster.asked if path == "/shop/_search"]
        assert sent == [{"query": {"match_all": {}}, "_source": {"excludes": ["splade", "splade_hash"]}}] * 4


async def test_a_search_learns_of_a_field_that_came_since_when_the_record_is_read() -> None:
    record = MigrationRecord(candidate=NEW, previous=OLD)
    mappings = [{"shop": mapping(OLD)}, {"shop": mapping(OLD, record.to_mapping())}]
    async with recorded({"GET /shop/_mapping": mappings, "POST /shop/_search": NO_HITS}) as (engine, cluster):
        await engine.search("shop", {})
        await engine.index_meta("shop")
        await engine.search("shop", {})
    first, second = (body for _, path, body in cluster.asked if path == "/shop/_search")
    assert first == {"_source": {"excludes": ["splade", "splade_hash"]}}
    assert second == {"_source": {"excludes": ["splade", "splade_bb", "splade_bb_hash", "splade_hash"]}}


async def test_an_index_of_somebody_else_is_searched_as_it_is_asked() -> None:
    answers = {"GET /theirs/_mapping": {"theirs": {"mappings": {}}}, "POST /theirs/_search": NO_HITS}
    async with recorded(answers) as (engine, cluster):
        await engine.search("theirs", {"_source": ["title"], "size": 1})
    assert cluster.asked[-1] == ("POST", "/theirs/_search", {"_source": ["title"], "size": 1})


@pytest.mark.parametrize("answer", [{"shop": None}, {"shop": {}}, {"shop": {"mappings": []}}])
async def test_a_mapping_of_no_known_shape_is_an_index_without_a_record(answer: object) -> None:
    async with recorded({"GET /shop/_mapping": answer}) as (engine, _):
        assert await engine.mappings("shop") == {"shop": {}}
        with pytest.raises(IndexNotPrepared, match="never set up"):
            await engine.index_meta("shop")


async def test_nothing_is_found_at_an_address_that_is_not_there_and_other_refusals_are_raised() -> None:
    async with recorded({"GET /_alias/shop": {"shop-1": {"aliases": {"shop": {}}}}}) as (engine, _):
        assert await engine.find("/_alias/shop") == {"shop-1": {"aliases": {"shop": {}}}}
        assert await engine.find("/_alias/none") is None
        with pytest.raises(EngineRejected):
            await engine.read("GET", "/_alias/none")


@given(sources, st.lists(names, min_size=1, max_size=3, unique=True))
def test_no_hidden_field_is_ever_asked_for_and_nothing_else_is_lost(asked: object, hidden: list[str]) -> None:
    sent = excluding(asked, hidden)
    if asked is False:
        assert sent is False
        return
    included = asked.get("includes", []) if isinstance(asked, dict) else asked
    wanted = [included] if isinstance(included, str) else included if isinstance(included, list) else []
    kept = [name for name in wanted if name not in hidden]
    if wanted and not kept:
        assert sent is False, "nothing that was asked for may be shown, and everything must not be"
        return
    assert isinstance(sent, dict)
    assert sent.get("includes", []) == kept
    assert set(hidden) <= set(sent["excludes"])
    before = asked.get("excludes", []) if isinstance(asked, dict) else []
    assert set(sent["excludes"]) == {*before, *hidden}
    assert excluding(sent, hidden) == sent, "what is sent is left as it is"
