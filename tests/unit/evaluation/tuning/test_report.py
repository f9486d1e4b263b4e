"""What tuning says: as a verdict, as tables, as JSON, and above the profile that it writes."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from rich.console import Console

from sidecar.errors import EvaluationError, ProfileInvalid
from sidecar.evaluation import Comparison, environment
from sidecar.evaluation.report import ModelReport
from sidecar.evaluation.tuning import (
    CurvePoint,
    FoldChoice,
    TuningPlan,
    TuningReport,
    check_new,
    profile_text,
    write_profile,
)
from sidecar.evaluation.tuning.table import curve_table, gain_table, setting_table
from sidecar.search import BUILT_IN, Profile, read_profile
from tests.unit.evaluation.tuning.made import profiles

START = {"sparse share": 0.7, "rerank depth": 50}
CHOSEN = {"sparse share": 0.4, "rerank depth": 20}


def _report(difference: float = 0.021, p_value: float = 0.003, **more: object) -> TuningReport:
    values: dict[str, object] = {
        "created": "2026-11-22T12:00:00+00:00",
        "environment": environment(),
        "engine": "opensearch 3.8.0",
        "measured_on": "articles",
        "split": "dev",
        "queries": 324,
        "missing_documents": 0,
        "queries_missing_relevant": 0,
        "measure": "nDCG@10",
        "profile": "hybrid+rerank",
        "models": (ModelReport(name="m", kind="sparse-encoder", fingerprint="f" * 64, quantization="int8"),),
        "settings": 1_234,
        "pairs": 5_678,
        "seed": 3,
        "start": START,
        "chosen": CHOSEN,
        "start_mean": 0.3,
        "held_out_mean": 0.3 + difference,
        "chosen_mean": 0.33,
        "against_start": Comparison(difference, p_value, p_value, 40, 200, 20),
        "error": 0.006,
        "folds": tuple(FoldChoice(queries=65, setting=one) for one in (CHOSEN, CHOSEN, START)),
        "curves": {
            "sparse share": tuple(CurvePoint(value=n, mean=0.3, difference=-0.01, error=0.002) for n in (0.3, 0.4)),
            "rerank depth": tuple(CurvePoint(value=n, mean=0.3, difference=-0.01, error=0.002) for n in (20, 50)),
        },
        "wrote": "chosen",
    }
    return TuningReport.model_validate(values | more)


def test_a_gain_beyond_chance_is_said_with_its_error() -> None:
    report = _report()
    assert report.beyond_chance
    gain = "+0.0210 ± 0.0060 nDCG@10, p = 0.0030"
    said = f"Choosing gains on 324 queries that did not choose ({gain}): the chosen values are written."
    assert report.verdict == f"{said} The chosen ones rerank 20 documents instead of 50, at no loss that shows."
    assert _report(chosen=START | {"sparse share": 0.4}).verdict == said


def test_a_choice_that_costs_more_is_said_to() -> None:
    deeper = _report(chosen=START | {"rerank depth": 100}).verdict
    assert deeper.endswith("The chosen ones rerank 100 documents instead of 50, which takes so much longer.")


@pytest.mark.parametrize(("difference", "p_value"), [(0.021, 0.06), (-0.021, 0.001), (0.0, 1.0)])
def test_what_is_not_beyond_chance_is_said_in_plain_words(difference: float, p_value: float) -> None:
    report = _report(difference, p_value, wrote="start")
    assert not report.beyond_chance
    assert report.verdict.startswith("The gain is not beyond chance on 324 queries that did not choose (")
    assert "Take hybrid+rerank as it is, or judge more queries; its values are written." in report.verdict
    assert "The chosen ones rerank 20 documents instead of 50, at no loss" in report.verdict
    forced = _report(difference, p_value, wrote="chosen").verdict
    assert "the chosen values are written all the same." in forced


def test_a_profile_that_nothing_beats_is_no_question_of_chance() -> None:
    report = _report(chosen=START, wrote="start")
    assert not report.changed
    assert report.verdict.startswith("Nothing is better than hybrid+rerank as it is by more than a standard error")


def _shown(table, width: int = 100) -> list[list[str]]:
    out = io.StringIO()
    Console(file=out, width=width).print(table)
    return [line.split() for line in out.getvalue().splitlines()]


def test_tables_show_start_choice_gain_and_curves() -> None:
    report = _report()
    gain = _shown(gain_table(report))
    assert ["hybrid+rerank", "0.3000"] in gain
    rows = [" ".join(row) for row in gain]
    assert "chosen by the other folds (3) 0.3210 +0.0210 0.0060 0.0030 40/200/20" in rows
    assert "chosen by all, on the same queries 0.3300 +0.0300" in rows
    values = _shown(setting_table(report))
    assert ["sparse", "share", "0.7", "0.4", "0.4", "×", "2,", "0.7", "×", "1"] in values
    curves = _shown(curve_table(report))
    assert ["sparse", "share", "0.3", "0.3000", "-0.0100", "0.0020"] in curves
    assert ["0.4", "0.3000", "-0.0100", "0.0020"] in curves


def test_a_profile_s_name_with_brackets_stays_one() -> None:
    report = _report(profile="[bold]mine", measured_on="[red]articles")
    assert ["[bold]mine", "0.3000"] in _shown(gain_table(report))
    assert "[red]articles," in _shown(gain_table(report))[0]


def test_the_json_says_everything(tmp_path: Path) -> None:
    report = _report(index="articles", notes=("few",))
    report.write(tmp_path / "deep" / "tuning.json")
    data = json.loads((tmp_path / "deep" / "tuning.json").read_text())
    assert data.pop("verdict") == report.verdict
    assert data["against_start"]["wins"] == 40
    assert TuningReport.model_validate(data) == report
    (tmp_path / "file").touch()
    with pytest.raises(EvaluationError, match="can't be written"):
        report.write(tmp_path / "file" / "tuning.json")


@given(profiles)
def test_what_is_written_is_read_as_the_same_profile(profile: Profile) -> None:
    text = profile_text(profile, _report())
    assert Profile.parse(yaml.safe_load(text)) == profile
    head = text[: text.index("name:")]
    assert all(line.startswith("# ") and len(line) <= 120 for line in head.splitlines())
    told = " ".join(line[2:] for line in head.splitlines())
    for said in (
        "hybrid+rerank",
        "2026-11-22",
        "nDCG@10, 324 queries of articles",
        "seed 3",
        "+0.0210 ± 0.0060",
        "f" * 64,
    ):
        assert said in told


def test_a_line_break_in_a_name_ends_no_comment(tmp_path: Path) -> None:
    """What stands behind it would be YAML."""
    text = profile_text(BUILT_IN["hybrid"], _report(profile="mine\ncandidates: 1"))
    assert Profile.parse(yaml.safe_load(text)) == BUILT_IN["hybrid"]


def test_no_file_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "new" / "mine.yaml"
    check_new(path)
    assert not path.exists()
    write_profile(path, BUILT_IN["hybrid"], _report())
    assert read_profile(path) == BUILT_IN["hybrid"]
    with pytest.raises(EvaluationError, match="can't be written"):
        write_profile(path, BUILT_IN["sparse"], _report())
    assert read_profile(path) == BUILT_IN["hybrid"]
    with pytest.raises(EvaluationError, match="exists already"):
        check_new(path)
    with pytest.raises(EvaluationError, match="can't be written"):
        check_new(path / "under" / "a" / "file.yaml")


@pytest.mark.parametrize(("measure", "size"), [("nDCG@10", 10), ("MRR@10", 10), ("R@100", 100)])
def test_a_measure_says_how_deep_it_looks(measure: str, size: int) -> None:
    assert TuningPlan(BUILT_IN["hybrid"], "mine", measure=measure).size == size


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"measure": "P@5"}, "one of nDCG@10, MRR@10, R@100"),
        ({"folds": 1}, "two folds"),
        ({"max_depth": 20}, "hybrid reranks nothing"),
        ({"profile": BUILT_IN["hybrid+rerank"], "max_depth": 201}, "1 to 200 documents, of its 200 candidates"),
        ({"profile": BUILT_IN["hybrid+rerank"], "max_depth": 0}, "1 to 200 documents"),
    ],
)
def test_a_plan_that_can_not_be_is_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        TuningPlan(**{"profile": BUILT_IN["hybrid"], "name": "mine"} | values)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "a" * 129])
def test_a_name_that_no_profile_can_have_is_told_of_before_anything_is_searched(name: str) -> None:
    """It is the file's, and was found out when the profile was written: at the end of it all."""
    with pytest.raises(ProfileInvalid, match="name"):
        TuningPlan(BUILT_IN["hybrid"], name)
