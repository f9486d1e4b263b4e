"""Checks of mapping, settings, documents and model: each trap is warned of, and a sound index of nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.cluster.doctor import CHECKS, Severity, examine, worst
from sidecar.cluster.doctor.evidence import Segment
from sidecar.cluster.doctor.mapping import FETCHED
from sidecar.domain import ModelKind
from sidecar.search.lexical import Lexical
from sidecar.search.profile import Profile
from tests.support.dialects import any_model
from tests.unit.doctor.evidence import MODEL, OPENSEARCH, healthy, said, with_mapping


@pytest.mark.parametrize("dialect", ["rank_features", "neural_sparse", "seismic"])
def test_there_is_nothing_to_say_about_a_sound_index(dialect: str) -> None:
    assert examine(healthy(dialect)) == ()


def test_every_check_says_what_it_is_for() -> None:
    assert all(check.__doc__ for check in CHECKS)
    assert len({check.__name__ for check in CHECKS}) == len(CHECKS)


def test_an_index_without_a_record() -> None:
    found = said(healthy(mapping={"properties": {}}))
    assert found["prepared"].severity is Severity.ERROR
    assert "sidecar setup" in found["prepared"].action
    broken = said(healthy(mapping={"_meta": {"splade_sidecar": {"schema_version": 9}}}))
    assert "does not read" in broken["prepared"].what


def test_a_dialect_that_the_cluster_can_not_do() -> None:
    assert said(healthy("neural_sparse", cluster=OPENSEARCH))["prepared"].severity is Severity.ERROR
    unknown = healthy("neural_sparse", cluster=OPENSEARCH.with_plugins(None))
    assert said(unknown)["prepared"].severity is Severity.NOTE


@pytest.mark.parametrize(
    ("field", "definition", "words"),
    [
        ("splade", None, "missing"),
        ("splade", {"properties": {"wolf": {"type": "float"}}}, "of type object"),
        ("splade", {"type": "sparse_vector"}, "of type sparse_vector"),
        ("splade_hash", {"type": "text"}, "of type text"),
    ],
)
def test_a_field_of_another_type(field: str, definition: dict | None, words: str) -> None:
    finding = said(with_mapping(healthy(), field, definition))["fields"]
    assert finding.severity is Severity.ERROR
    assert words in finding.what


def test_the_model_field_of_seismic_is_looked_for() -> None:
    assert "splade_model" in said(with_mapping(healthy("seismic"), "splade_model", None))["fields"].what


@pytest.mark.parametrize("value", [False, "false"])
def test_positive_score_impact(value: object) -> None:
    spoilt = with_mapping(healthy(), "splade", {"type": "rank_features", "positive_score_impact": value})
    assert "reciprocal" in said(spoilt)["positive_score_impact"].why


@pytest.mark.parametrize(
    "source",
    [
        {"enabled": False},
        {"excludes": ["splade"]},
        {"excludes": ["spl*"]},
        {"excludes": ["splade.*"]},
        {"includes": ["title"]},
    ],
)
def test_a_vector_that_is_not_in_the_source(source: dict) -> None:
    evidence = healthy()
    spoilt = replace(evidence, mapping={**evidence.mapping, "_source": source})
    finding = said(spoilt)["vector_in_source"]
    assert finding.severity is Severity.WARNING
    assert "reconcile" in finding.action


@pytest.mark.parametrize("source", [{}, {"excludes": []}, {"includes": ["*"]}])
def test_a_source_that_keeps_the_vector(source: dict) -> None:
    evidence = healthy()
    assert examine(replace(evidence, mapping={**evidence.mapping, "_source": source})) == ()


@pytest.mark.parametrize(
    ("source", "lost"),
    [
        ({"excludes": ["splade_hash", "image"]}, "splade_hash, image"),
        ({"includes": ["splade", "title"]}, "all but splade, title"),
    ],
)
def test_documents_that_are_not_kept_whole(source: dict, lost: str) -> None:
    evidence = healthy()
    (finding,) = examine(replace(evidence, mapping={**evidence.mapping, "_source": source}))
    assert (finding.check, finding.severity) == ("whole_documents", Severity.WARNING)
    assert lost in finding.what
    assert "reconcile" in finding.why


def test_blocks() -> None:
    full = said(healthy(settings={"index.blocks.read_only_allow_delete": "true"}))["read_only"]
    assert (full.severity, "disk" in full.why) == (Severity.ERROR, True)
    assert said(healthy(settings={"index.blocks.write": "true"}))["read_only"].severity is Severity.WARNING
    assert examine(healthy(settings={"index.blocks.write": "false"})) == ()


def test_another_model_at_the_sidecar() -> None:
    finding = said(healthy(served=(any_model("successor"),)))["fingerprint"]
    assert finding.severity is Severity.ERROR
    assert MODEL.fingerprint[:16] in finding.what
    assert (
        "no sparse encoder" in said(healthy(served=(replace(MODEL, kind=ModelKind.CROSS_ENCODER),)))["fingerprint"].what
    )
    assert examine(healthy(served=None)) == ()


def test_documents_that_sparse_search_does_not_find() -> None:
    unseen = said(healthy(hashed=1_000, present=1_000))["presence"]
    assert "10 of 1010 documents were never read" in unseen.what
    lost = said(healthy(present=1_000))["presence"]
    assert "10 documents have the hash" in lost.what


def test_documents_that_are_known_to_have_no_text_are_none_of_them() -> None:
    assert examine(healthy(present=1_000, without_text=10)) == ()
    assert "7 documents have the hash" in said(healthy(present=1_000, without_text=3))["presence"].what


def test_vectors_of_two_models_in_one() -> None:
    sample = ({"splade": {"wolf": 1.0, "_splade_1": 1.0, "_splade_2": 1.0}},)
    assert said(healthy(sample=sample))["merged_vectors"].severity is Severity.ERROR
    huge = ({"splade": {str(number): 1.0 for number in range(2_001)}},)
    assert said(healthy(sample=huge))["merged_vectors"].severity is Severity.NOTE


def test_a_seismic_index_without_its_setting() -> None:
    finding = said(healthy("seismic", settings={"index.search.default_pipeline": "fusing"}))["sparse_index"]
    assert "HTTP 500" in finding.why


@pytest.mark.parametrize(
    ("segments", "present", "severity"),
    [
        ((Segment(499_999),), 1_010, None),
        ((Segment(500_000),), 1_010, Severity.WARNING),
        ((Segment(1_000_000),), 1_010, Severity.WARNING),
        ((Segment(1_000_000, deleted=1),), 1_010, Severity.ERROR),
        ((Segment(1_000_000),), 1_009, Severity.ERROR),
    ],
)
def test_segments_near_the_threshold(segments: tuple[Segment, ...], present: int, severity: Severity | None) -> None:
    found = said(healthy("seismic", segments=segments, present=present, hashed=1_010)).get("approximate_segments")
    assert (None if found is None else found.severity) is severity


def test_a_threshold_of_the_index_s_own() -> None:
    method = {"name": "seismic", "parameters": {"approximate_threshold": 100}}
    spoilt = with_mapping(healthy("seismic"), "splade", {"type": "sparse_vector", "method": method})
    assert "threshold is 100" in said(spoilt)["approximate_segments"].what


def test_term_ids_that_fold() -> None:
    assert "32768" in said(healthy("seismic", sample=({"splade": {"32768": 1.0, "7": 2.0}},)))["term_ids"].what
    large = any_model(vocabulary_size=105_879)
    assert "105879" in said(healthy("seismic", served=(large,), sample=()))["term_ids"].what


@pytest.mark.parametrize(("weight", "words"), [(3.5, "clamped"), (0.5, "never used"), (2.9, None), (1.0, None)])
def test_the_quantisation_ceiling(weight: float, words: str | None) -> None:
    found = said(healthy("seismic", sample=({"splade": {"7": weight}},))).get("ceilings")
    assert words in found.why if words else found is None


def test_the_worst_comes_first() -> None:
    findings = examine(healthy(health="yellow", present=1_000, served=(any_model("successor"),)))
    assert [finding.severity.value for finding in findings] == ["error", "warning", "note"]
    assert worst(findings) is Severity.ERROR
    assert worst(()) is None


def test_a_narrow_result_window() -> None:
    found = said(healthy(settings={"index.max_result_window": "100"}))["result_window"]
    assert found.severity is Severity.WARNING
    assert "is 100" in found.what
    assert Profile(name="any", retrievers=(Lexical(),)).candidates == FETCHED
    for settings in ({}, {"index.max_result_window": "200"}, {"index.max_result_window": "5000"}):
        assert "result_window" not in said(healthy(settings=settings))
