"""Which fields hold encoded text and are searched by words, as mappings say it."""

from __future__ import annotations

from sidecar.engine import IndexMeta
from sidecar.engine.text_fields import field_types, text_fields
from tests.unit.cluster.recorded import recorded

META = IndexMeta(fingerprint="aa" * 32, bundle="model", source_fields=("title", "body.main"), lexical_field="words")
TEXT, KEYWORD = {"type": "text"}, {"type": "keyword"}

MAPPING = {
    "_meta": META.to_mapping(),
    "properties": {
        "title": {
            "type": "text",
            "copy_to": ["words", "all"],
            "fields": {"keyword": KEYWORD, "english": TEXT, "typed": {"type": "search_as_you_type"}},
        },
        "body": {"properties": {"main": {"type": "text", "copy_to": "words"}, "author": TEXT}},
        "words": TEXT,
        "all": {"type": "match_only_text"},
        "heading": {"type": "alias", "path": "title"},
        "exact": {"type": "alias", "path": "title.keyword"},
        "whose": {"type": "alias", "path": "tenant"},
        "tenant": {"type": "text", "copy_to": "all", "fields": {"keyword": KEYWORD}},
        "tenant_id": {"type": "long"},
        "public": {"type": "boolean"},
        "parts": {"type": "nested", "properties": {"title": TEXT}},
    },
}


def test_fields_that_hold_what_was_encoded_and_are_text() -> None:
    assert text_fields({"shop": MAPPING}, META) == {
        "title", "title.english", "title.typed", "body.main", "words", "all", "heading",
    }  # fmt: skip


def test_what_is_no_text_in_one_index_is_none() -> None:
    other = {"properties": {"title": KEYWORD, "all": {"type": "flat_object"}, "heading": {"type": "alias"}}}
    assert text_fields({"a": MAPPING, "b": other}, META) == {"title.english", "title.typed", "body.main", "words"}


def test_a_field_that_is_not_there_yet_finds_nothing_and_may_be_text() -> None:
    assert text_fields({"shop": {}}, META) == {"title", "body.main", "words"}
    assert text_fields({"shop": {"properties": None}}, META) == {"title", "body.main", "words"}
    broken = {"properties": {"title": None, "words": {"fields": 1, "type": "text"}, "body": {"properties": []}}}
    assert text_fields({"shop": broken}, META) == {"body.main", "words"}


def test_search_as_you_type_brings_fields_of_its_own() -> None:
    meta = META.model_copy(update={"source_fields": ("title",)})
    mapping = {"properties": {"title": {"type": "search_as_you_type"}}}
    assert text_fields({"shop": mapping}, meta) == {"title", "title._2gram", "title._3gram", "title._4gram", "words"}


async def test_the_engine_knows_them_once_it_has_read_the_record() -> None:
    async with recorded({"GET /shop/_mapping": {"shop": {"mappings": MAPPING}}}) as (engine, cluster):
        assert engine.text_fields("shop", META) == frozenset(), "of what was never read, nothing counts as text"
        meta = await engine.index_meta("shop")
        assert engine.text_fields("shop", meta) >= {"title", "words"}
        assert engine.field_types("shop", meta)["tenant_id"] == {"long"}
        assert engine.field_types("elsewhere", meta) == {}
        assert await engine.hidden_fields("shop") == ("splade", "splade_hash")
        assert len([path for _, path, _ in cluster.asked if path == "/shop/_mapping"]) == 1


def test_every_field_has_the_types_that_it_has_anywhere() -> None:
    other = {"properties": {"title": KEYWORD, "price": {"type": "float"}, "odd": None, "heading": {"type": "alias"}}}
    types = field_types({"a": MAPPING, "b": other, "c": {}})
    assert types["title"] == {"text", "keyword"}
    assert types["title.english"] == types["body.main"] == types["body.author"] == types["tenant"] == {"text"}
    assert types["title.typed"] == {"search_as_you_type"}
    assert types["heading"] == {"text", "object"}, "an alias has the type of what it stands for"
    assert types["exact"] == {"keyword"}
    assert types["price"] == {"float"}
    assert types["odd"] == {"object"}
    assert not {"parts", "parts.title", "body"} & types.keys()
    assert field_types({}) == {}


def test_what_a_cluster_adds_to_search_as_you_type_is_text_and_what_is_named_keeps_its_type() -> None:
    mapping = {"properties": {"title": {"type": "search_as_you_type", "fields": {"raw": KEYWORD}}}}
    assert field_types({"a": mapping}) == {
        "title": {"search_as_you_type"},
        "title.raw": {"keyword"},
        "title._2gram": {"text"},
        "title._3gram": {"text"},
        "title._4gram": {"text"},
    }
