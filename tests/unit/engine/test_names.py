"""Which names are written to: those that stand for one index, however a cluster reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.engine import Engine, require_new_name, require_one_name
from sidecar.engine.names import is_one_name
from sidecar.engine.transport import path_of
from sidecar.errors import InvalidInput
from tests.unit.cluster.recorded import recorded


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "empty"),
        (" ", "empty"),
        ("_all", "all indices"),
        ("*", "pattern"),
        ("news-*", "pattern"),
        ("-*,news", "pattern"),
        ("new?", "pattern"),
        ("news,shop", "a list of several"),
        ("<news-{now/d}>", "date math"),
        ("_news", "begins with"),
        ("-news", "begins with"),
        ("+news", "begins with"),
        ("other:news", "another cluster"),
        (".", "no index or alias"),
        ("..", "no index or alias"),
        ("news shop", "no index or alias"),
        ("news/_doc", "no index or alias"),
        ("news\n", "no index or alias"),
        ("ä" * 128, "no index or alias"),
    ],
)
def test_a_name_that_may_stand_for_another_index_is_refused_with_the_reason(name: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why) as refused:
        require_one_name(name, field="into")
    assert refused.value.field == "into"
    assert "Name one index, or an alias of one." in refused.value.message


@pytest.mark.parametrize("name", ["news", "News", ".ds-news-000001", "news-2026.11", "ä", "a_b+c-d", "a" * 255])
def test_a_name_of_one_index_or_alias_is_taken(name: str) -> None:
    require_one_name(name)


def test_an_alias_may_have_capital_letters_and_an_index_that_is_made_may_not() -> None:
    require_one_name("News")
    require_new_name("news")
    with pytest.raises(InvalidInput, match=r"can't be made: indices have no capital letters\. Take news\."):
        require_new_name("News")
    with pytest.raises(InvalidInput, match="pattern"):
        require_new_name("news-*")


@given(st.text())
def test_a_name_that_is_taken_is_one_segment_of_a_path_and_nothing_a_cluster_splits(name: str) -> None:
    if is_one_name(name):
        assert path_of(name).count("/") == 1
        assert not set(name) & set("*?,<>:")
        assert name not in (".", "..", "_all")


@pytest.mark.parametrize("name", ["*", "_all", "a,b", "-a", ".."])
async def test_the_engine_sends_nothing_that_changes_several_indices(name: str) -> None:
    async with recorded({}) as (engine, cluster):
        asked = list(cluster.asked)
        for call in (
            engine.delete_index(name),
            engine.delete_index(name, missing_ok=True),
            engine.create_index(name, {}),
            engine.put_mapping(name, {"_meta": {}}),
        ):
            with pytest.raises(InvalidInput, match="can't be written to"):
                await call
        with pytest.raises(InvalidInput, match="capital letters"):
            await engine.create_index("News", {})
        assert cluster.asked == asked
        assert isinstance(engine, Engine)
