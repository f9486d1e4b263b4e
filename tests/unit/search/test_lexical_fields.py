"""Fields that a profile names, and what the mappings behind an index's name say of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sidecar.engine import IndexMeta
from sidecar.errors import ProfileInvalid
from sidecar.search import Profile
from sidecar.search.encoding import IndexRecord
from sidecar.search.lexical_fields import NAMED_FIELDS, require_fields
from tests.unit.cluster.recorded import recorded

META = IndexMeta(fingerprint="aa" * 32, bundle="model", lexical_field="title").to_mapping()
TEXT, KEYWORD = {"type": "text"}, {"type": "keyword"}
SHOP = {
    "title": {"type": "text", "fields": {"english": TEXT, "keyword": KEYWORD}},
    "text": TEXT,
    "tags": KEYWORD,
    "price": {"type": "float"},
    "maker": {"properties": {"name": TEXT}},
    "parts": {"type": "nested", "properties": {"name": TEXT}},
    "heading": {"type": "alias", "path": "title"},
    "cost": {"type": "alias", "path": "price"},
    "typed": {"type": "search_as_you_type"},
}


def mapping(**properties: object) -> dict[str, object]:
    return {"mappings": {"_meta": META, "properties": properties}}


def profile(*fields: str) -> Profile:
    return Profile.parse({"name": "mine", "retrievers": [{"kind": "lexical", "fields": list(fields)}]})


async def asked(answers: object, *fields: str) -> int:
    """Check a profile's fields; return how often the mapping was read."""
    async with recorded({"GET /shop/_mapping": answers}) as (engine, cluster):
        await require_fields(engine, "shop", profile(*fields), IndexRecord(engine, "shop").pinned())
        return len([path for _, path, _ in cluster.asked if path == "/shop/_mapping"])


@pytest.mark.parametrize(
    "fields",
    [["title^3", "text"], ["title.english"], ["tags", "title.keyword"], ["maker.name"], ["heading"], ["typed._2gram"]],
)
async def test_what_can_be_searched_by_words_is_no_error(fields: Sequence[str]) -> None:
    assert await asked({"shop": mapping(**SHOP)}, *fields) == 1


async def test_what_names_no_fields_has_none_that_lack() -> None:
    async with recorded({"GET /shop/_mapping": {"shop": mapping()}}) as (engine, cluster):
        record = IndexRecord(engine, "shop")
        for data in ({"kind": "lexical", "operator": "and"}, {"kind": "sparse"}):
            plain = Profile.parse({"name": "x", "retrievers": [data]})
            await require_fields(engine, "shop", plain, record.pinned())
        assert len([path for _, path, _ in cluster.asked if "_mapping" in path]) == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (["title", "titel"], "searches for words in titel: that is no text field of shop."),
        (["titel", "body^2"], "searches for words in titel, body: those are no text fields of shop."),
        (["price^2"], "searches for words in price (float): "),
        (["cost"], "searches for words in cost (float): "),
        (["parts.name"], "searches for words in parts.name: "),
        (["maker"], "searches for words in maker: "),
    ],
)
async def test_what_can_not_is_refused_with_what_there_is(fields: Sequence[str], said: str) -> None:
    with pytest.raises(ProfileInvalid) as caught:
        await asked({"shop": mapping(**SHOP)}, *fields)
    assert said in caught.value.message
    assert caught.value.message.startswith("The profile mine ")
    assert "Name those that it has: heading, maker.name, text, title, title.english, typed, typed._2gram" in str(
        caught.value
    )
    assert caught.value.field == "retrievers.fields"


async def test_one_index_of_several_is_enough_and_another_type_in_one_is_not() -> None:
    days = {"shop-1": mapping(title=TEXT), "shop-2": mapping(title=TEXT, tags=TEXT, size={"type": "long"})}
    assert await asked(days, "title", "tags") == 1
    odd = {**days, "shop-3": mapping(title=TEXT, tags={"type": "integer"}, size=TEXT)}
    with pytest.raises(
        ProfileInvalid, match=r"in tags \(integer\), size \(long\): .* Name those that it has: title\.$"
    ):
        await asked(odd, "tags", "size")


async def test_a_field_that_came_since_is_found() -> None:
    """The record is remembered for half a minute, and read again before anybody is told that a field is missing."""
    async with recorded() as (engine, cluster):
        cluster.answers["GET /shop/_mapping"] = {"shop": mapping(title=TEXT)}
        record = IndexRecord(engine, "shop")
        await require_fields(engine, "shop", profile("title"), record.pinned())
        cluster.answers["GET /shop/_mapping"] = {"shop": mapping(title=TEXT, tags=TEXT)}
        await require_fields(engine, "shop", profile("tags"), record.pinned())
        await require_fields(engine, "shop", profile("title", "tags"), record.pinned())
        assert len([path for _, path, _ in cluster.asked if path == "/shop/_mapping"]) == 2


async def test_a_long_list_is_cut_and_says_so() -> None:
    many = {f"field_{number:02}": TEXT for number in range(NAMED_FIELDS + 3)}
    with pytest.raises(ProfileInvalid, match=r"field_19, and 3 more\.$"):
        await asked({"shop": mapping(**many)}, "titel")
    with pytest.raises(ProfileInvalid, match=r"It has none\.$"):
        await asked({"shop": mapping(tags=KEYWORD)}, "titel")
