"""Checks of pipelines, of an application's query, of nodes, and of connectors' answers."""

from __future__ import annotations

import pytest

from sidecar.cluster.doctor import Evidence, Severity, examine
from sidecar.cluster.doctor.connector import check_answer, predicted
from sidecar.cluster.doctor.evidence import Node
from tests.unit.doctor.evidence import NORMALIZING, OPENSEARCH, WITH_NEURAL, healthy, said

TOKENS = {"query_tokens": {"wolf": 1.5}}


def two_phase(**options: object) -> dict:
    processor = {"neural_sparse_two_phase_processor": options}
    return {"request_processors": [processor], **NORMALIZING}


def asked(query: dict, dialect: str = "neural_sparse", **body: object) -> Evidence:
    return healthy(dialect, query={"query": query, **body})


def test_a_default_pipeline_that_does_not_exist() -> None:
    assert (
        said(healthy(settings={"index.search.default_pipeline": "gone"}))["default_pipeline"].severity is Severity.ERROR
    )
    unread = healthy(settings={"index.search.default_pipeline": "gone"}, unread=(("search pipelines", "403"),))
    assert "default_pipeline" not in said(unread)
    assert examine(healthy(settings={"index.search.default_pipeline": "_none"})) == ()


@pytest.mark.parametrize(
    ("dialect", "options", "words"),
    [
        ("neural_sparse", {"enabled": False}, "switched off"),
        ("neural_sparse", {"two_phase_parameter": {"prune_type": "none"}}, "splits off no terms"),
        ("neural_sparse", {"two_phase_parameter": {"prune_ratio": 0.0}}, "splits off no terms"),
        ("seismic", {}, "refused"),
        ("rank_features", {}, "does nothing"),
        ("neural_sparse", {}, "searches in two phases"),
    ],
)
def test_two_phase_without_effect(dialect: str, options: dict, words: str) -> None:
    settings = {"index.sparse": "true", "index.search.default_pipeline": "tp"}
    found = said(healthy(dialect, settings=settings, search_pipelines={"tp": two_phase(**options)}))
    assert words in found["two_phase"].what
    other = said(healthy(dialect, search_pipelines={"fusing": NORMALIZING, "tp": two_phase(**options)}))
    assert "two_phase" not in other or other["two_phase"].severity is Severity.NOTE


def test_hybrid_without_any_pipeline() -> None:
    settings = {"index.sparse": "true"}
    assert said(healthy("neural_sparse", settings=settings, search_pipelines={}))["hybrid_pipeline"].severity is (
        Severity.WARNING
    )
    some = said(healthy("neural_sparse", settings=settings))["hybrid_pipeline"]
    assert (some.severity, "?search_pipeline=fusing" in some.action) == (Severity.NOTE, True)


def test_a_hybrid_query() -> None:
    hybrid = {"hybrid": {"queries": [{"match": {"t": "x"}}, {"neural_sparse": {"splade": TOKENS}}]}}
    assert said(asked(hybrid))["hybrid_query"].severity is Severity.WARNING
    deep = {"hybrid": {**hybrid["hybrid"], "pagination_depth": 100}}
    assert examine(asked(deep)) == ()
    bare = healthy("neural_sparse", settings={}, query={"query": deep})
    assert said(bare)["hybrid_query"].severity is Severity.ERROR
    inline = healthy("neural_sparse", settings={}, query={"query": deep, "search_pipeline": NORMALIZING})
    assert "hybrid_query" not in said(inline)


@pytest.mark.parametrize("weight", [64.5, 0, -1, "abc", None])
def test_a_token_that_fails_the_query(weight: object) -> None:
    query = {"bool": {"should": [{"neural_sparse": {"splade": {"query_tokens": {"wolf": weight}}}}]}}
    assert "(0, 64]" in said(asked(query))["neural_sparse_query"].what


@pytest.mark.parametrize("weight", [64, 1e-9, "2.5"])
def test_a_token_that_does_not(weight: object) -> None:
    assert examine(asked({"neural_sparse": {"splade": {"query_tokens": {"wolf": weight}}}})) == ()


def test_what_leaks_and_what_ends_early() -> None:
    leaking = {"neural_sparse": {"splade": {**TOKENS, "method_parameters": {"k": 10, "filter": {"term": {"a": 1}}}}}}
    assert "ignored" in said(asked(leaking, "seismic"))["neural_sparse_query"].why
    short = {"neural_sparse": {"splade": {"query_tokens": {"7": 1.0}}}}
    assert "gives 10" in said(asked(short, "seismic", size=50))["neural_sparse_query"].what
    assert examine(asked(short, "seismic", size=10)) == ()
    assert examine(asked(short, "neural_sparse", size=50)) == ()


def test_rank_feature_clauses() -> None:
    query = {"bool": {"should": [{"rank_feature": {"field": "splade.u.s.", "linear": {}}}]}}
    assert "%2E" in said(asked(query, "rank_features"))["rank_feature_query"].action
    bare = {"rank_feature": {"field": "splade.wolf"}}
    assert '"linear"' in said(asked(bare, "rank_features"))["rank_feature_query"].action
    assert examine(asked({"rank_feature": {"field": "splade.wolf", "linear": {}}}, "rank_features")) == ()
    dotted = {"rank_feature": {"field": "splade.u.s.", "linear": {}}}
    assert "neural_sparse" in said(asked(dotted, "neural_sparse"))["rank_feature_query"].action


@pytest.mark.parametrize("field", ["signals.pagerank", "pagerank", "signals.by.day", "splade_rank"])
def test_rank_feature_clauses_on_fields_of_the_application_are_its_own(field: str) -> None:
    query = {"bool": {"must": [{"match": {"text": "wolf"}}], "should": [{"rank_feature": {"field": field}}]}}
    assert examine(asked(query, "rank_features")) == ()


@pytest.mark.parametrize(
    ("query", "works"),
    [
        ({"neural_sparse": {"splade": TOKENS}}, True),
        ({"bool": {"should": [{"bool": {"should": [{"neural_sparse": {"splade": TOKENS}}]}}]}}, True),
        ({"bool": {"must": [{"neural_sparse": {"splade": TOKENS}}]}}, False),
        ({"constant_score": {"filter": {"neural_sparse": {"splade": TOKENS}}}}, False),
        ({"match": {"text": "wolf"}}, False),
    ],
)
def test_where_two_phase_looks(query: dict, works: bool) -> None:
    body = {"query": query, "search_pipeline": two_phase()}
    assert ("two_phase_query" not in said(healthy("neural_sparse", query=body))) is works
    sorted_body = {**body, "sort": ["price"]}
    found = said(healthy("neural_sparse", query=sorted_body))["two_phase_query"]
    assert (found.severity is Severity.ERROR) is works


def test_health() -> None:
    assert said(healthy(health="red"))["health"].severity is Severity.ERROR
    assert said(healthy(health="yellow"))["health"].severity is Severity.NOTE


def test_the_clause_limit() -> None:
    key = "indices.query.bool.max_clause_count"
    assert "is 512" in said(healthy(cluster_settings={key: "512"}))["clause_limit"].what
    assert examine(healthy(cluster_settings={key: "1024"})) == ()


@pytest.mark.parametrize(
    ("used", "severity"),
    [(0.84, None), (0.86, Severity.WARNING), (0.91, Severity.ERROR), (0.96, Severity.ERROR)],
)
def test_disk(used: float, severity: Severity | None) -> None:
    found = said(healthy(nodes=(Node("one", 0.1, used),))).get("disk")
    assert (None if found is None else found.severity) is severity


@pytest.mark.parametrize("off", ["false", False])
def test_a_cluster_that_takes_no_notice_of_its_disks(off: object) -> None:
    settings = {"cluster.routing.allocation.disk.threshold_enabled": off}
    assert "disk" not in said(healthy(cluster_settings=settings, nodes=(Node("one", 0.1, 0.99),)))


def test_watermarks_of_one_s_own() -> None:
    prefix = "cluster.routing.allocation.disk.watermark"
    own = {f"{prefix}.low": "50%", f"{prefix}.high": "0.6", f"{prefix}.flood_stage": "10gb"}
    assert "low (50%)" in said(healthy(cluster_settings=own, nodes=(Node("one", 0.1, 0.55),)))["disk"].what
    assert "high (60%)" in said(healthy(cluster_settings=own, nodes=(Node("one", 0.1, 0.99),)))["disk"].what


@pytest.mark.parametrize(("used", "severity"), [(0.8, None), (0.86, Severity.WARNING), (0.96, Severity.ERROR)])
def test_heap(used: float, severity: Severity | None) -> None:
    found = said(healthy(nodes=(Node("one", used),))).get("heap")
    assert (None if found is None else found.severity) is severity


@pytest.mark.parametrize(("ahead", "words"), [(4.0, None), (9.0, "9 s ahead"), (-60.0, "60 s behind")])
def test_clocks(ahead: float, words: str | None) -> None:
    found = said(healthy(nodes=(Node("one", None, None, ahead),))).get("clocks")
    assert words in found.what if words else found is None


def test_a_plugin_of_another_version() -> None:
    old = WITH_NEURAL.with_plugins({"opensearch-neural-search": "3.3.0.0"})
    assert "3.3.0.0" in said(healthy("neural_sparse", cluster=old))["plugins"].what
    assert examine(healthy(cluster=OPENSEARCH)) == ()


def test_what_could_not_be_read_is_told() -> None:
    forbidden = said(healthy(unread=(("segments", "not allowed (403)"),)))["readable"]
    assert "403" in forbidden.what
    assert "as a user that may read it" in forbidden.action
    refused = said(healthy(unread=(("documents", "The cluster refuses the request (400): too large."),)))["readable"]
    assert "user" not in refused.action


@pytest.mark.parametrize(
    ("side", "answer", "words"),
    [
        ("document", [{"wolf": 1.5, "u.s.": 100.0}], None),
        ("query", [{"wolf": 64.0}], None),
        ("query", [{"wolf": 64.5}], "above 64"),
        ("query", [{str(number): 1.0 for number in range(1_025)}], "1024 terms"),
        ("document", [{"wolf": 0.0}], "no positive numbers"),
        ("document", [{"wolf": "1"}], "no positive numbers"),
        ("document", [{}], "no weights"),
        ("document", [[{"index": 1, "value": 1.0}]], "no list with one map"),
        ("document", {"response": []}, "no list with one map"),
        ("document", None, "no list with one map"),
    ],
)
def test_a_connector_s_answer(side: str, answer: object, words: str | None) -> None:
    found = list(check_answer(side, answer))
    assert words in found[0].what if words else found == []


def test_the_answer_inside_ml_commons_answer() -> None:
    output = {"name": "response", "dataAsMap": {"response": [{"wolf": 1.0}]}}
    assert predicted({"inference_results": [{"output": [output], "status_code": 200}]}) == [{"wolf": 1.0}]
    assert predicted({"status": "FAILED"}) is None
