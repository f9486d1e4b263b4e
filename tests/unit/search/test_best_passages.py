"""The best passage of each document, and an alias that moved meanwhile: what is asked, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sidecar.domain import JsonObject, SparseVector
from sidecar.engine import CollectionFrequencies, IndexMeta, PassageRule
from sidecar.search.encoding import IndexRecord
from sidecar.search.identity import DocumentKey, only
from sidecar.search.moved import has_left, has_moved
from sidecar.search.passages import BestPassage, Passages
from tests.unit.cluster.recorded import Recorded, recorded

META = IndexMeta(fingerprint="aa" * 32, bundle="model", passages=PassageRule())
PLAIN = META.model_copy(update={"passages": None})
OTHER = PLAIN.model_copy(update={"fingerprint": "bb" * 32})
VECTOR = SparseVector((1, 2), (2.0, 1.0), ("wolf", "river"))


def mapping(meta: IndexMeta) -> JsonObject:
    return {"mappings": {"_meta": meta.to_mapping()}}


def hit(name: str, *inner: JsonObject) -> JsonObject:
    return {"_index": "i", "_id": name, "_score": 9.0, "inner_hits": {"splade": {"hits": {"hits": list(inner)}}}}


def keys(*ids: str) -> list[DocumentKey]:
    return [(name, "i", "") for name in ids]


def passage(text: object, start: object, score: object = 2.5) -> JsonObject:
    return {"_score": score, "_source": {"text": text, "start": start}}


async def best(hits: Sequence[JsonObject], ids: Sequence[str], vector: SparseVector | None = VECTOR):
    answers = {"GET /i/_mapping": {"i": mapping(META)}, "POST /i/_search": {"hits": {"hits": list(hits)}}}
    async with recorded(answers) as (engine, cluster):
        return await Passages(engine, "i").best(keys(*ids), vector, META, timeout=5.0), cluster


async def test_each_document_has_its_best_passage() -> None:
    found, _ = await best([hit("a", passage("the wolf", 7)), hit("b", passage("a river", 0, 1.5))], ["a", "b"])
    a, b = keys("a", "b")
    assert found == {a: BestPassage("the wolf", 7, 2.5), b: BestPassage("a river", 0, 1.5)}


async def test_the_same_id_in_two_indices_is_two_documents() -> None:
    other = {**hit("a", passage("a river", 0, 1.5)), "_index": "j"}
    found, _ = await best([hit("a", passage("the wolf", 7)), other], ["a"])
    assert found == {
        ("a", "i", ""): BestPassage("the wolf", 7, 2.5),
        ("a", "j", ""): BestPassage("a river", 0, 1.5),
    }


async def test_only_the_documents_that_are_shown_are_asked_for_and_one_passage_of_each() -> None:
    _, cluster = await best([], ["a", "b", "c"])
    (body,) = [body for _, path, body in cluster.asked if path == "/i/_search"]
    assert isinstance(body, dict)
    assert body["size"] == 3
    assert body["query"]["bool"]["filter"] == [only(keys("a", "b", "c"))]
    (clause,) = body["query"]["bool"]["must"]
    assert clause["nested"]["path"] == "splade"
    assert clause["nested"]["inner_hits"] == {"size": 1, "_source": {"includes": ["splade.text", "splade.start"]}}


@pytest.mark.parametrize(
    "odd",
    [
        hit("a"),
        {"_index": "i", "_id": "a"},
        {"_index": "i", "_id": "a", "inner_hits": None},
        hit("a", {"_score": 1.0}),
        hit("a", passage(None, 3)),
        hit("a", passage("text", "three")),
    ],
)
async def test_an_answer_without_a_passage_costs_its_own_document_alone(odd: JsonObject) -> None:
    found, _ = await best([odd, hit("b", passage("a river", 0))], ["a", "b"])
    assert set(found) == set(keys("b"))


def searches(cluster: Recorded) -> int:
    return sum(path.endswith("_search") for _, path, _ in cluster.asked)


async def test_nothing_is_asked_where_there_is_nothing_to_ask() -> None:
    for ids, vector in (([], VECTOR), (["a"], None)):
        found, cluster = await best([], ids, vector)
        assert (found, searches(cluster)) == ({}, 0)
    async with recorded() as (engine, cluster):
        assert await Passages(engine, "i").best(keys("a"), VECTOR, PLAIN, timeout=5.0) == {}
        assert searches(cluster) == 0


class Read:
    """An index's record that says which model it is of, and counts how often it is asked."""

    frequencies: CollectionFrequencies | None = None

    def __init__(self, meta: IndexMeta) -> None:
        self.meta, self.reads = meta, 0

    async def get(self) -> IndexMeta:
        return self.meta

    async def read(self) -> IndexMeta:
        self.reads += 1
        return self.meta


@pytest.mark.parametrize(
    ("answers", "now", "asked", "moved"),
    [
        ([["one"], ["one", "two"]], OTHER, 0, False),
        ([["one"], []], PLAIN, 1, False),
        ([["one"], []], OTHER, 1, True),
        ([["one", "three"]], PLAIN, 1, False),
        ([["three"]], OTHER, 1, True),
        ([], OTHER, 0, False),
    ],
)
async def test_a_move_is_looked_for_only_where_an_answer_is_odd(
    answers: list[list[str]], now: IndexMeta, asked: int, moved: bool
) -> None:
    behind = {"one": mapping(PLAIN), "two": mapping(PLAIN)}
    async with recorded({"GET /alias/_mapping": behind}) as (engine, _):
        assert await engine.index_meta("alias") == PLAIN
        record = Read(now)
        assert await has_moved(engine, "alias", record, PLAIN, answers) is moved
    assert record.reads == asked


@pytest.mark.parametrize(
    ("hits", "left"), [((), False), (("one",), False), (("one", "two"), False), (("three",), True)]
)
async def test_a_name_has_left_an_index_that_it_stands_for_no_longer(hits: tuple[str, ...], left: bool) -> None:
    behind = {"one": mapping(PLAIN), "two": mapping(PLAIN)}
    async with recorded({"GET /alias/_mapping": behind}) as (engine, cluster):
        record = IndexRecord(engine, "alias")
        assert await has_left(engine, "alias", record, hits) is left
        assert [path for _, path, _ in cluster.asked if "_mapping" in path] == ["/alias/_mapping"]
