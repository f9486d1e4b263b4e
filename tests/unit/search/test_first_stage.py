"""What the first stage asks the cluster for words, beside a vector or alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sidecar.domain import JsonObject, SparseVector
from sidecar.engine import Engine, IndexMeta
from sidecar.search import BUILT_IN, Lexical, LinearFusion, MatchType, Normalization, Profile, Sparse
from sidecar.search.retrieval import MIN_CLAUSES, FirstStage, Question
from sidecar.search.text import MAX_WORDS, words_in

META = IndexMeta(fingerprint="aa" * 32, bundle="model", lexical_field="words")
ODD = {"term": {"kind": "odd"}}
FIELDS = Lexical(weight=0.4, fields=("title^3", "text"), tie_breaker=0.3)
NO_ENGINE: Any = None


def first_stage(profile: Profile) -> FirstStage:
    engine: Engine = NO_ENGINE
    return FirstStage(engine, "shop", profile)


def profile(lexical: Lexical, normalization: Normalization = Normalization.MIN_MAX) -> Profile:
    return Profile(name="x", retrievers=(lexical, Sparse(weight=0.6)), fusion=LinearFusion(normalization=normalization))


def vector(terms: int) -> SparseVector:
    return SparseVector(tuple(range(terms)), (1.0,) * terms, tuple(f"t{number}" for number in range(terms)))


def question(text: str = "a wolf", terms: int | None = 2) -> Question:
    return Question(text, None if terms is None else vector(terms), (ODD,), META)


def clauses_in(node: object, kind: str) -> Iterator[JsonObject]:
    if isinstance(node, dict):
        if isinstance(node.get(kind), dict):
            yield node[kind]
        for value in node.values():
            yield from clauses_in(value, kind)
    elif isinstance(node, list):
        for value in node:
            yield from clauses_in(value, kind)


def test_fields_are_searched_in_every_way_of_fusing() -> None:
    clause = {"query": "a wolf", "fields": ["title^3", "text"], "type": "best_fields", "tie_breaker": 0.3}
    apart = first_stage(profile(FIELDS)).queries(question())
    assert apart["lexical"] == {"bool": {"must": [{"multi_match": clause}], "filter": [ODD]}}
    assert list(clauses_in(apart["sparse"], "multi_match")) == []
    summed = first_stage(profile(FIELDS, Normalization.NONE)).queries(question())["summed"]
    assert list(clauses_in(summed, "multi_match")) == [{**clause, "boost": 0.4}]
    assert summed["bool"]["filter"] == [ODD]


def test_without_a_vector_the_same_fields_are_searched() -> None:
    for fused in (profile(FIELDS), profile(FIELDS, Normalization.NONE)):
        alone = first_stage(fused).queries(question(terms=None))
        assert list(alone) == ["lexical"]
        assert [clause["fields"] for clause in clauses_in(alone, "multi_match")] == [["title^3", "text"]]


def test_a_profile_that_names_no_fields_asks_what_it_always_asked() -> None:
    for name in ("lexical", "hybrid"):
        queries = first_stage(BUILT_IN[name]).queries(question())
        assert queries["lexical"]["bool"]["must"] == [{"match": {"words": {"query": "a wolf"}}}]
    degraded = first_stage(BUILT_IN["sparse"]).queries(question(terms=None))
    assert degraded["lexical"]["bool"]["must"] == [{"match": {"words": {"query": "a wolf"}}}]


@pytest.mark.parametrize("terms", [1, 500, 990, 1_000])
@pytest.mark.parametrize(
    "lexical",
    [
        Lexical(),
        FIELDS,
        Lexical(fields=tuple(f"f{number}" for number in range(16)), type=MatchType.CROSS_FIELDS),
        Lexical(fields=("a", "b", "c"), fuzziness="AUTO"),
        Lexical(fuzziness=2),
    ],
)
def test_words_and_terms_of_one_query_keep_within_the_clusters_clauses(lexical: Lexical, terms: int) -> None:
    """1,024 of them, the filter's and the sentinel's among them."""
    asked = question(" ".join(f"w{number}" for number in range(3_000)), terms)
    summed = first_stage(profile(lexical, Normalization.NONE)).queries(asked)["summed"]
    (clause,) = [*clauses_in(summed, "multi_match"), *(one["words"] for one in clauses_in(summed, "match"))]
    taken = words_in(clause["query"]) * max(1, len(lexical.fields)) * clause.get("max_expansions", 1)
    assert 1 <= taken <= max(MIN_CLAUSES, MAX_WORDS - terms)
    assert taken + terms <= MAX_WORDS + MIN_CLAUSES


def test_what_is_explained_knows_how_many_clauses_its_query_has() -> None:
    stage = first_stage(profile(FIELDS))
    assert stage.clauses(question("wolf", terms=7)) == len("wolf") * 2 + 7
    assert stage.clauses(question("wolf", terms=None)) == len("wolf") * 2
    assert stage.clauses(question("wolf " * 1_000, terms=3)) == MAX_WORDS + 3
    assert first_stage(profile(Lexical(fuzziness=1))).clauses(question("wolf", terms=0)) == 200
