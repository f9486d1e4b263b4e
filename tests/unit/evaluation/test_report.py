"""The report as data and as tables."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from sidecar.engine import PassageRule
from sidecar.errors import EvaluationError
from sidecar.evaluation import CollectionReport, Comparison, EvaluationReport, ProfileReport, VectorReport, environment
from sidecar.evaluation.statistics import Latency
from sidecar.evaluation.table import effectiveness_table, index_table, latency_table


def _profile(name: str, value: float, p_value: float | None) -> ProfileReport:
    return ProfileReport(
        profile=name,
        settings={},
        means={"nDCG@10": value, "MRR@10": value, "R@100": value},
        latency_ms=Latency(1.0, 1.0, 2.0, 3.0),
        latency_queries=5,
        stages_ms={},
        against_lexical=None if p_value is None else Comparison(0.1, p_value, 3, 2),
    )


def _collection(name: str, lexical: float, hybrid: float, p_value: float) -> CollectionReport:
    return CollectionReport(
        collection=name,
        split="test",
        documents=1_400,
        empty_documents=2,
        queries=225,
        removed_own_documents=0,
        index_bytes=2_500_000,
        documents_truncated=3,
        documents_per_second=120.0,
        vectors=VectorReport(documents_sampled=10, mean_document_terms=99.6, mean_query_terms=8.5, flops=1.25),
        profiles=(_profile("lexical", lexical, None), _profile("hybrid", hybrid, p_value)),
    )


@pytest.fixture
def report() -> EvaluationReport:
    return EvaluationReport(
        created="2026-01-01T00:00:00+00:00",
        environment=environment(),
        engine="opensearch 3.8.0",
        models=(),
        collections=(_collection("a", 0.4, 0.5, 0.001), _collection("b", 0.6, 0.3, 0.5)),
    )


def _shown(table) -> str:
    out = io.StringIO()
    Console(file=out, width=120).print(table)
    return out.getvalue()


def test_a_report_of_passages_says_how_they_were_cut(report, tmp_path: Path) -> None:
    first, second = report.collections
    vectors = first.vectors.model_copy(update={"mean_document_vectors": 7.25})
    cut = first.model_copy(update={"passages": PassageRule(100, 50, 8), "vectors": vectors})
    changed = report.model_copy(update={"collections": (cut, second)})
    assert "7.2" in _shown(index_table(changed))
    changed.write(tmp_path / "report.json")
    written = json.loads((tmp_path / "report.json").read_text())["collections"]
    assert written[0]["passages"] == {"words": 100, "stride": 50, "limit": 8}
    assert "passages" not in written[1]
    assert written[1]["vectors"]["mean_document_vectors"] == 1.0


def test_every_collection_counts_the_same(report) -> None:
    assert report.mean("lexical", "nDCG@10") == pytest.approx(0.5)
    assert report.mean("hybrid", "nDCG@10") == pytest.approx(0.4)
    with pytest.raises(EvaluationError, match="was not evaluated"):
        report.mean("sparse", "nDCG@10")


def test_the_file_says_everything(report, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.json"
    report.write(path)
    data = json.loads(path.read_text())
    assert data["means"] == {
        "lexical": {"nDCG@10": 0.5, "MRR@10": 0.5, "R@100": 0.5},
        "hybrid": {"nDCG@10": 0.4, "MRR@10": 0.4, "R@100": 0.4},
    }
    assert data["collections"][0]["profiles"][1]["against_lexical"]["p_value"] == 0.001
    assert data["environment"]["versions"]["splade-sidecar"]
    assert data["environment"]["memory_bytes"] > 0
    assert EvaluationReport.model_validate({key: value for key, value in data.items() if key != "means"}) == report


def test_a_file_that_cannot_be_written(report, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EvaluationError, match="can't be written"):
        report.write(tmp_path / "file" / "report.json")


def test_tables_show_values_and_significance(report) -> None:
    shown = _shown(effectiveness_table(report, "nDCG@10"))
    assert "0.5000*" in shown
    assert "0.3000*" not in shown
    assert "differs from lexical" in shown
    assert "*" not in _shown(effectiveness_table(report, "MRR@10"))
    assert "1.0 / 3.0" in _shown(latency_table(report))
    for value in ("1,400", "2.5", "100", "8.5", "1.25", "120"):
        assert value in _shown(index_table(report))
