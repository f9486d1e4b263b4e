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
from sidecar.evaluation.table import comparison_table, effectiveness_table, index_table, latency_table


def _profile(name: str, value: float, p_value: float | None) -> ProfileReport:
    return ProfileReport(
        profile=name,
        settings={},
        means={"nDCG@10": value, "MRR@10": value, "R@100": value},
        latency_ms=Latency(1.0, 1.0, 2.0, 3.0),
        latency_queries=5,
        stages_ms={},
        against_baseline=None if p_value is None else Comparison(0.1, p_value / 2, p_value, 103, 1_120, 2),
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
        baseline="lexical",
        models=(),
        collections=(_collection("a", 0.4, 0.5, 0.001), _collection("b", 0.6, 0.3, 0.5)),
    )


def _shown(table, width: int = 120) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(table)
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
    assert data["collections"][0]["profiles"][1]["against_baseline"] == {
        "difference": 0.1, "p_value": 0.0005, "p_corrected": 0.001, "wins": 103, "ties": 1_120, "losses": 2
    }  # fmt: skip
    assert data["baseline"] == "lexical"
    assert data["collections"][0]["missing_documents"] == 0
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
    assert "1.0/3.0" in _shown(latency_table(report))
    for value in ("1,400", "2.5", "100", "8.5", "1.25", "120"):
        assert value in _shown(index_table(report))


def test_five_collections_are_shown_a_row_each_at_80_columns(report) -> None:
    names = ("cranfield", "med", "cystic_fibrosis", "nfcorpus", "time")
    profiles = [
        _profile("hybrid+rerank", 0.5, 0.5).model_copy(update={"latency_ms": Latency(3027.0, 1.0, 2.0, 4100.0)})
    ]
    collections = [
        report.collections[0].model_copy(update={"collection": name, "profiles": (*profiles,), "documents": 9_999})
        for name in names
    ]
    changed = report.model_copy(update={"collections": tuple(collections)})
    tables = [effectiveness_table(changed, "nDCG@10"), comparison_table(changed), latency_table(changed)]
    for table in (*tables, index_table(changed)):
        assert table is not None
        narrow, wide = (_shown(table, width=width).split() for width in (80, 200))
        assert narrow == wide, "no cell is broken"
        assert set(names) <= set(narrow)


def test_the_comparison_with_the_baseline_is_shown_in_full_at_100_columns(report) -> None:
    first = report.collections[0].model_copy(update={"collection": "cystic_fibrosis"})
    profiles = (first.profiles[0], first.profiles[1].model_copy(update={"profile": "hybrid-rrf+rerank"}))
    first = first.model_copy(update={"profiles": profiles})
    changed = report.model_copy(update={"collections": (first, report.collections[1])})
    lines = _shown(comparison_table(changed), width=100).splitlines()
    assert lines[0].strip() == "nDCG@10 against lexical"
    rows = [line.split() for line in lines]
    assert ["cystic_fibrosis", "hybrid-rrf+rerank", "+0.1000", "0.0005", "0.0010", "103/1120/2"] in rows
    assert ["b", "hybrid", "+0.1000", "0.2500", "0.5000", "103/1120/2"] in rows
    assert "Holm" in lines[-2]


def test_the_asterisk_goes_by_the_corrected_p(report) -> None:
    first = _collection("a", 0.4, 0.5, 0.06)
    assert first.profiles[1].against_baseline is not None
    assert first.profiles[1].against_baseline.p_value < 0.05
    shown = _shown(effectiveness_table(report.model_copy(update={"collections": (first,)}), "nDCG@10"))
    assert "0.5000*" not in shown


def test_one_profile_alone_is_compared_with_nothing(report) -> None:
    first = report.collections[0]
    alone = report.model_copy(update={"collections": (first.model_copy(update={"profiles": first.profiles[:1]}),)})
    assert comparison_table(alone) is None
    assert "*" not in _shown(effectiveness_table(alone, "nDCG@10"))


def test_a_p_below_what_the_test_can_tell_is_no_zero(report) -> None:
    small = report.model_copy(update={"collections": (_collection("a", 0.4, 0.5, 0.00005),)})
    assert "< 0.0001" in _shown(comparison_table(small))


def test_where_it_can_not_be_written_is_known_before(tmp_path: Path) -> None:
    EvaluationReport.check_writable(tmp_path / "new" / "report.json")
    assert (tmp_path / "new").is_dir()
    assert not (tmp_path / "new" / "report.json").exists()
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "report.json", tmp_path / "new"):
        with pytest.raises(EvaluationError, match="can't be written"):
            EvaluationReport.check_writable(path)


def test_what_is_not_known_of_an_index_that_existed_is_blank_and_absent(report, tmp_path: Path) -> None:
    unread = VectorReport(
        documents_sampled=0, mean_document_vectors=None, mean_document_terms=None, mean_query_terms=8.5, flops=None
    )
    live = CollectionReport(
        collection="articles",
        index="articles",
        split="judged",
        documents=90_210,
        documents_without_vector=7,
        queries=40,
        removed_own_documents=0,
        index_bytes=None,
        vectors=unread,
        profiles=report.collections[0].profiles,
    )
    changed = report.model_copy(update={"collections": (live,)})
    shown = _shown(index_table(changed))
    assert "90,210" in shown
    assert "None" not in shown
    assert "articles: as it is, not merged" in shown
    assert "as it is" not in _shown(index_table(report))
    changed.write(tmp_path / "report.json")
    (written,) = json.loads((tmp_path / "report.json").read_text())["collections"]
    assert not {"empty_documents", "documents_truncated", "documents_per_second", "index_bytes"} & set(written)
    assert (written["index"], written["documents_without_vector"]) == ("articles", 7)


@pytest.mark.parametrize("name", ["[/]", "[bold]mine", "my[/b]"])
def test_brackets_in_a_name_are_brackets(report, name: str) -> None:
    """Rich takes them for markup: what was measured for hours ended in an error of the table, or lost its name."""
    first = report.collections[0]
    renamed = tuple(one.model_copy(update={"profile": f"{name}{number}"}) for number, one in enumerate(first.profiles))
    collection = first.model_copy(update={"collection": f"c{name}", "index": f"c{name}", "profiles": renamed})
    changed = report.model_copy(update={"collections": (collection,), "baseline": f"{name}0"})
    for table in (effectiveness_table(changed, "nDCG@10"), latency_table(changed)):
        shown = _shown(table)
        assert f"c{name}" in shown
        assert f"{name}0" in shown
    compared = comparison_table(changed)
    assert compared is not None
    assert f"against {name}0" in _shown(compared)
    assert f"{name}1" in _shown(compared)
    assert f"differs from {name}0" in _shown(effectiveness_table(changed, "nDCG@10"))
    assert f"c{name}" in _shown(index_table(changed))
