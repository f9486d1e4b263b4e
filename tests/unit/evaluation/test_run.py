"""TREC run files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.errors import EvaluationError
from sidecar.evaluation.run import Ranked, read_run, run_files, write_run

names = st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rankings=st.dictionaries(names, st.lists(names, unique=True, min_size=1, max_size=6), max_size=4))
def test_round_trip(tmp_path: Path, rankings) -> None:
    run = {
        query: [Ranked(name, float(len(ranking) - rank)) for rank, name in enumerate(ranking)]
        for query, ranking in rankings.items()
    }
    path = tmp_path / "runs" / "hybrid.trec"
    write_run(run, path, "hybrid")
    assert read_run(path) == run


def test_the_six_columns(tmp_path: Path) -> None:
    write_run({"q1": [Ranked("d9", 2.5), Ranked("d3", 0.125)]}, tmp_path / "a.trec", "sparse")
    assert (tmp_path / "a.trec").read_text() == "q1 Q0 d9 1 2.5 sparse\nq1 Q0 d3 2 0.125 sparse\n"


def test_lines_in_any_order_are_sorted_by_score_then_rank(tmp_path: Path) -> None:
    path = tmp_path / "a.trec"
    path.write_text("q 0 c 3 1.0 x\nq 0 b 2 1.0 x\n\nq 0 a 1 7 x\n")
    assert [line.document for line in read_run(path)["q"]] == ["a", "b", "c"]


@pytest.mark.parametrize("line", ["q 0 a 1 x", "q 0 a one 1.0 x", "q 0 a 1 nan x", "q 0 a 1 inf x"])
def test_broken_lines_are_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.trec"
    path.write_text("q 0 a 1 7 x\n" + line + "\n")
    with pytest.raises(EvaluationError, match="line 2"):
        read_run(path)


def test_a_document_that_is_there_twice_has_no_rank(tmp_path: Path) -> None:
    path = tmp_path / "a.trec"
    path.write_text("q 0 a 1 7 x\nother 0 a 1 7 x\nq 0 b 2 6 x\nq 0 a 3 5 x\n")
    with pytest.raises(EvaluationError, match="line 4: 'a' is there twice for 'q'"):
        read_run(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="can't be read"):
        read_run(tmp_path / "no.trec")


def test_a_tag_of_several_words_is_one_column(tmp_path: Path) -> None:
    write_run({"q1": [Ranked("d9", 2.5)]}, tmp_path / "a.trec", " my  profile ")
    assert (tmp_path / "a.trec").read_text() == "q1 Q0 d9 1 2.5 my-profile\n"


def test_runs_of_other_tools_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.trec"
    path.write_bytes("\ufeffq 0 a 1 2.0 my profile\r\nq 0 c 2 1.0\ta\u2028tag\n".encode())
    assert read_run(path) == {"q": [Ranked("a", 2.0), Ranked("c", 1.0)]}


@pytest.mark.parametrize("name", ["d 4", "d\u20284", "", "\t"])
def test_an_id_that_is_no_column_is_refused(tmp_path: Path, name: str) -> None:
    for run in ({"q": [Ranked(name, 1.0)]}, {name: [Ranked("d", 1.0)]}):
        with pytest.raises(EvaluationError, match="no column of a TREC run file"):
            write_run(run, tmp_path / "a.trec", "x")
    assert not (tmp_path / "a.trec").exists()


def test_a_run_that_can_not_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EvaluationError, match="can't be written"):
        write_run({"q": [Ranked("d", 1.0)]}, tmp_path / "file" / "a.trec", "x")


def test_every_collection_and_profile_has_a_file_of_its_own(tmp_path: Path) -> None:
    files = run_files(tmp_path, ["a", "b"], ["hybrid+rerank", "my profile", "x/y", ".."])
    assert len(set(files.values())) == len(files) == 8
    assert files["a", "hybrid+rerank"] == tmp_path / "a" / "hybrid+rerank.trec"
    assert files["b", "my profile"] == tmp_path / "b" / "my-profile.trec"
    assert {path.parent for path in files.values()} == {tmp_path / "a", tmp_path / "b"}
    with pytest.raises(EvaluationError, match="would be one"):
        run_files(tmp_path, ["a"], ["x/y", "x y"])
