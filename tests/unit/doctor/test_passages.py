"""Checks of an index with passages."""

from __future__ import annotations

from dataclasses import replace

from sidecar.cluster.doctor import Evidence, Severity, examine
from sidecar.cluster.templates import existing_template
from sidecar.domain import JsonObject
from sidecar.engine import IndexMeta, PassageRule
from tests.unit.doctor.evidence import MODEL, NAMES, NORMALIZING, WITH_NEURAL, healthy, said, with_mapping

CLAUSE: JsonObject = {"rank_feature": {"field": "splade.vector.wolf", "linear": {}}}


def nested(query: JsonObject, **more: object) -> JsonObject:
    return {"nested": {"path": "splade", "query": query, "score_mode": "max", **more}}


def passages(**changes: object) -> Evidence:
    """An index with passages about which there is nothing to say."""
    meta = IndexMeta(fingerprint=MODEL.fingerprint, bundle=MODEL.name, passages=PassageRule())
    mapping = {"_meta": meta.to_mapping(), **existing_template("passages", NAMES)}
    objects = [{"vector": {"wolf": 2.0, "_splade_1": 1.0}, "text": "the wolf", "start": 0}]
    return replace(healthy(), mapping=mapping, sample=({"splade": objects},), **changes)


def test_an_index_in_order() -> None:
    assert examine(passages()) == ()
    assert passages().vectors() == [{"wolf": 2.0, "_splade_1": 1.0}]
    assert passages().vector_mapping == {"type": "rank_features"}


def test_a_field_that_is_not_nested() -> None:
    flat = said(with_mapping(passages(), "splade", {"type": "rank_features"}))
    assert flat["fields"].severity is Severity.ERROR
    impact = {"type": "nested", "properties": {"vector": {"type": "rank_features", "positive_score_impact": False}}}
    assert "positive_score_impact" in said(with_mapping(passages(), "splade", impact))


def test_clauses_that_never_match() -> None:
    sparse: JsonObject = {"neural_sparse": {"splade.vector": {"query_tokens": {"wolf": 1.0}}}}
    for clause in (CLAUSE, sparse, {"bool": {"should": [CLAUSE]}}):
        assert said(passages(query={"query": clause}))["passage_query"].severity is Severity.ERROR
        assert examine(passages(query={"query": nested(clause)})) == ()
        within: JsonObject = {"bool": {"must": [{"match": {"text": "wolf"}}], "should": [nested(clause)]}}
        assert examine(passages(query={"query": within})) == ()


def test_an_average_over_passages() -> None:
    found = said(passages(query={"query": nested(CLAUSE, score_mode="avg")}))["passage_query"]
    assert found.severity is Severity.WARNING
    other: JsonObject = {"nested": {"path": "comments", "query": {"match": {"comments.text": "wolf"}}}}
    assert examine(passages(query={"query": other})) == ()


def test_a_feature_with_a_dot_is_told_apart_from_the_path() -> None:
    dotted: JsonObject = {"rank_feature": {"field": "splade.vector.u.s.", "linear": {}}}
    assert "rank_feature_query" in said(passages(query={"query": nested(dotted)}))
    assert "rank_feature_query" not in said(passages(query={"query": nested(CLAUSE)}))


def test_two_phases_do_not_reach_into_passages() -> None:
    pipeline = {"request_processors": [{"neural_sparse_two_phase_processor": {}}], **NORMALIZING}
    sparse: JsonObject = {"neural_sparse": {"splade.vector": {"query_tokens": {"wolf": 1.0}}}}
    query = {"query": nested(sparse), "search_pipeline": "two"}
    evidence = replace(passages(query=query), cluster=WITH_NEURAL, search_pipelines={"two": pipeline})
    assert said(evidence)["two_phase_query"].severity is Severity.WARNING
