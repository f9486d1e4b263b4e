"""Turns, percentiles, texts, sizes: what all measurements share."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.errors import BenchmarkFailed
from benchmarks.measures.search import DIALECT, split, variants
from benchmarks.sizes import QUICK, Sizes, chosen_sizes
from benchmarks.texts import collections_folder, read_texts
from benchmarks.timing import percentile, take_turns
from sidecar.domain import SparseVector


async def test_everybody_comes_first_in_turn_and_the_warm_up_is_not_counted():
    order: list[tuple[str, int]] = []

    def contender(name):
        async def work(number: int) -> float:
            order.append((name, number))
            return float(number)

        return work

    found = await take_turns({name: contender(name) for name in "abc"}, 3)
    assert found == dict.fromkeys("abc", found["a"])
    assert sorted(found["a"]) == [0.0, 1.0, 2.0]
    assert order[:3] == [("a", -1), ("b", -1), ("c", -1)]
    assert [order[place][0] for place in (3, 6, 9)] == ["a", "b", "c"]


async def test_one_that_fails_leaves_the_race_and_the_others_go_on():
    async def steady(number: int) -> float:
        return float(number)

    async def tiring(number: int) -> float:
        if number == 1:
            raise BenchmarkFailed("out of breath")
        return 0.0

    failed: dict[str, str] = {}
    assert await take_turns({"a": steady, "b": tiring}, 3, failed=failed) == {"a": [0.0, 1.0, 2.0]}
    assert failed == {"b": "out of breath"}
    with pytest.raises(BenchmarkFailed):
        await take_turns({"a": steady, "b": tiring}, 3)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.floats(0.0, 1.0))
def test_percentiles_are_values_that_occur(values, share):
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9


def test_percentiles_of_known_values():
    values = list(range(1, 101))
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1.0)) == (50, 99, 100)
    assert percentile([3.0], 0.99) == statistics.median([3.0])
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 0.5)


def test_texts_of_collections_are_shuffled_alike_every_time(tmp_path, monkeypatch):
    folder = tmp_path / "med"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(
        "".join(f'{{"_id": "{number}", "title": "t", "text": "text {number}"}}\n' for number in range(30))
    )
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "a query"}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\t3\t1\n")
    one, other = read_texts(tmp_path), read_texts(tmp_path)
    assert one == other
    assert one.source == "med"
    assert sorted(one.documents) == sorted(f"t text {number}" for number in range(30))
    assert one.documents != tuple(f"t text {number}" for number in range(30))
    assert one.queries == ("a query",)
    assert len(one.some(7)) == 7
    monkeypatch.setenv("SIDECAR_COLLECTIONS", str(tmp_path))
    assert collections_folder(None) == tmp_path
    assert collections_folder(tmp_path / "missing") is None


def test_without_collections_there_are_docstrings():
    texts = read_texts(None)
    assert "docstrings" in texts.source
    assert len(texts.documents) > 1_000
    assert all(texts.queries[:100])


def test_sizes():
    assert chosen_sizes(quick=True, given={"rounds": 9, "threads": 1}).rounds == 9
    assert chosen_sizes(quick=True, given={"threads": 3}).documents == QUICK.documents
    assert chosen_sizes(quick=False, given={"threads": 2}) == Sizes(threads=2)


VECTOR = SparseVector((1, 2, 3), (2.0, 1.0, 0.5), ("wing", "lift", "the"))


def test_light_terms_are_split_off():
    heavy, light = split(VECTOR, 0.4)
    assert (heavy.terms, light.terms) == (("wing", "lift"), ("the",))


def test_every_variant_asks_for_the_same_hits_in_its_own_way():
    names = {"all": "a", "lean": "l", "fat": "f"}
    bodies = {name: asked("wing lift", VECTOR) for name, (_, asked) in variants(names).items()}
    assert all(body["size"] == 10 for body in bodies.values())
    assert [name for name, body in bodies.items() if body["track_total_hits"]] == ["counted"]
    assert bodies["sparse"]["query"] == DIALECT.sparse_query("vector", VECTOR)
    assert "rescore" in bodies["two-phase"]
    assert "rescore" not in bodies["pruned"]
    assert bodies["fields, fat"]["_source"] == bodies["fields, lean"]["_source"] == {"excludes": ["vector"]}
