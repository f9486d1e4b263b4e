"""Two rankings of the same queries: what they share, what was lost, and files that can't be read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sidecar.domain import Query
from sidecar.errors import EvaluationError
from sidecar.evaluation.files import read_judgements
from sidecar.evaluation.side_by_side import read_queries, side_by_side
from sidecar.search import NO_QUERY_TERMS, SearchHit, SearchResult, StageTimings

QUERIES = (Query("q1", "lion"), Query("q2", "bear"), Query("q3", "wolf"))


def searching(rankings: dict[str, str], degraded: str | None = None) -> Callable[[str], Awaitable[SearchResult]]:
    """Answers each text with one hit per letter."""

    async def search(text: str) -> SearchResult:
        hits = tuple(SearchHit(id=name, rank=rank, source={}) for rank, name in enumerate(rankings[text], start=1))
        timings = StageTimings(0.0, 0.0, 0.0, 0.0, 0.0)
        return SearchResult(hits, None, "sparse", timings, degraded=degraded)

    return search


BEFORE = searching({"lion": "abcd", "bear": "abcd", "wolf": ""})
AFTER = searching({"lion": "abcd", "bear": "abxy", "wolf": ""})


async def test_overlap_is_a_share_of_the_hits() -> None:
    found = await side_by_side(QUERIES, BEFORE, AFTER)
    assert [pair.overlap for pair in found.pairs] == [1.0, 0.5, 1.0]
    assert found.overlap == pytest.approx(2.5 / 3)
    assert found.ndcg is None
    assert [pair.query.id for pair in found.regressions(5)] == ["q2"]
    assert found.pairs[1].change == -0.5


async def test_the_order_does_not_count_for_the_overlap_and_lengths_do() -> None:
    one, other = searching({"lion": "abc"}), searching({"lion": "cba" + "defg"})
    (pair,) = (await side_by_side(QUERIES[:1], one, other)).pairs
    assert pair.overlap == pytest.approx(3 / 7)


async def test_only_the_first_ten_hits_count() -> None:
    one, other = searching({"lion": "abcdefghij" + "k"}), searching({"lion": "abcdefghij" + "l"})
    (pair,) = (await side_by_side(QUERIES[:1], one, other)).pairs
    assert pair.overlap == 1.0


async def test_where_it_is_judged_the_loss_is_in_ndcg() -> None:
    judgements = {"q1": {"d": 1}, "q2": {"d": 1, "c": 1}, "other": {"a": 1}}
    found = await side_by_side(QUERIES, BEFORE, AFTER, judgements)
    assert found.ndcg is not None
    before, after = found.ndcg
    assert before > after > 0.0
    (worst,) = found.regressions(5)
    assert (worst.query.id, worst.ndcg_after) == ("q2", 0.0)
    assert found.pairs[0].change == 0.0
    assert found.pairs[2].ndcg_before is None


async def test_regressions_are_the_worst_first_and_so_many() -> None:
    after = searching({"lion": "abxy", "bear": "wxyz", "wolf": ""})
    found = await side_by_side(QUERIES, BEFORE, after)
    assert [pair.query.id for pair in found.regressions(5)] == ["q2", "q1"]
    assert [pair.query.id for pair in found.regressions(1)] == ["q2"]


async def test_nothing_is_compared_with_words() -> None:
    with pytest.raises(EvaluationError, match="fell back to words"):
        await side_by_side(QUERIES, BEFORE, searching({"lion": "a"}, "SIDECAR_UNAVAILABLE"))
    no_terms = searching({"lion": "abcd", "bear": "a", "wolf": ""}, NO_QUERY_TERMS)
    assert (await side_by_side(QUERIES, BEFORE, no_terms)).pairs[0].overlap == 1.0


async def test_queries_and_judgements_have_to_belong_together() -> None:
    with pytest.raises(EvaluationError, match="no query"):
        await side_by_side((), BEFORE, AFTER)
    with pytest.raises(EvaluationError, match="None of the queries is judged"):
        await side_by_side(QUERIES, BEFORE, AFTER, {"other": {"a": 1}})


def test_queries_are_lines_or_beir_s(tmp_path: Path) -> None:
    lines = tmp_path / "queries.txt"
    lines.write_text("first query\n\n  second  \n")
    assert read_queries(lines) == (Query("1", "first query"), Query("3", "second"))
    beir = tmp_path / "queries.jsonl"
    beir.write_text('{"_id": "q9", "text": "lion", "metadata": {}}\n')
    assert read_queries(beir) == (Query("q9", "lion"),)


@pytest.mark.parametrize("line", ["not json", '{"_id": 7.5, "text": "lion"}', '{"_id": "7"}', "[]"])
def test_a_line_that_is_no_query_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text(f'{{"_id": "q", "text": "t"}}\n{line}\n')
    with pytest.raises(EvaluationError, match="line 2"):
        read_queries(path)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="can't be read"):
        read_queries(tmp_path / "none.txt")
    with pytest.raises(EvaluationError, match="is missing"):
        read_judgements(tmp_path / "none.tsv")


def test_judgements_are_read_from_any_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.tsv"
    path.write_text("query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\n")
    assert read_judgements(path) == {"q1": {"d1": 2, "d2": 0}}


def test_a_line_ends_where_a_line_ends(tmp_path: Path) -> None:
    beir = tmp_path / "queries.jsonl"
    beir.write_bytes('\ufeff{"_id": "q9", "text": "lion\u2028tamer\x85x"}\r\n{"_id": "q10", "text": "a"}\r\n'.encode())
    assert read_queries(beir) == (Query("q9", "lion\u2028tamer\x85x"), Query("q10", "a"))
    lines = tmp_path / "queries.txt"
    lines.write_text("lion\u2028tamer\nsecond\n", encoding="utf-8")
    assert read_queries(lines) == (Query("1", "lion\u2028tamer"), Query("2", "second"))


def test_a_query_that_is_there_twice_is_named(tmp_path: Path) -> None:
    """Values are kept by id: one query would have had the other's."""
    file = tmp_path / "queries.jsonl"
    file.write_text('{"_id": "q1", "text": "a"}\n\n{"_id": "q1", "text": "b"}\n')
    with pytest.raises(EvaluationError, match=r"queries\.jsonl, line 3: the query 'q1' is there twice"):
        read_queries(file)
