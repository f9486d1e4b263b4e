"""Judged queries without a corpus: which files are read, and which are refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import EvaluationError
from sidecar.evaluation import JudgedQueries, read_judged_queries
from sidecar.evaluation.judged import is_the_query


def _files(folder: Path, qrels: str) -> tuple[Path, Path]:
    queries = folder / "queries.jsonl"
    queries.write_text("".join(json.dumps({"_id": f"q{n}", "text": f"wolf {n}"}) + "\n" for n in range(3)))
    (folder / "judged.tsv").write_text(qrels)
    return queries, folder / "judged.tsv"


def test_the_split_is_the_name_of_the_file_and_only_judged_queries_count(tmp_path: Path) -> None:
    found = read_judged_queries(*_files(tmp_path, "query-id\tcorpus-id\tscore\nq2\ta\t1\nq0\tb\t0\n"), "articles")
    assert (found.name, found.split) == ("articles", "judged")
    assert [(query.id, query.text) for query in found.queries] == [("q2", "wolf 2"), ("q0", "wolf 0")]
    assert found.judged_documents == {"a", "b"}


@pytest.mark.parametrize(
    ("qrels", "said"),
    [
        ("q9\ta\t1\n", r"queries.jsonl lacks 1 queries that judged.tsv judges, for one 'q9'"),
        ("q1\ta\n", r"judged.tsv, line 1"),
        ("", "holds no judgement"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, qrels: str, said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        read_judged_queries(*_files(tmp_path, qrels), "articles")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    queries, qrels = _files(tmp_path, "q1\ta\t1\n")
    with pytest.raises(EvaluationError, match=r"other.tsv is missing"):
        read_judged_queries(queries, qrels.with_name("other.tsv"), "articles")
    with pytest.raises(EvaluationError, match=r"other.jsonl is missing"):
        read_judged_queries(queries.with_name("other.jsonl"), qrels, "articles")


IDS = st.sampled_from("abcd")


@given(st.dictionaries(IDS, st.dictionaries(IDS, st.integers(-1, 2), min_size=1), min_size=1), st.sets(IDS))
def test_queries_with_a_relevant_document_are_counted_once(judgements, documents) -> None:
    judged = JudgedQueries("made", "test", (), judgements)
    counted = [query for query in judgements if {d for d, grade in judgements[query].items() if grade > 0} & documents]
    assert judged.queries_with_relevant(documents) == len(counted)
    assert judged.queries_with_relevant(judged.judged_documents - documents) <= len(judgements)


@pytest.mark.parametrize(
    ("document", "query", "held"),
    [
        ("The Wolf\n hunts in packs", "the wolf hunts", True),
        ("The Wolf\n hunts in packs, and sleeps by day", "the wolf hunts", False),
        ("the wolf", "the wolf hunts", False),
        ("", "the wolf", False),
    ],
)
def test_case_and_white_space_are_nothing(document: str, query: str, held: bool) -> None:
    assert is_the_query(document, query) is held


def test_queries_that_nothing_is_relevant_for_are_counted() -> None:
    judgements = {"a": {"x": 0, "y": -2}, "b": {"x": 0, "y": 1}, "c": {"x": 0}}
    assert JudgedQueries("made", "test", (), judgements).queries_without_relevant == 2


def test_the_split_of_a_packed_file(tmp_path: Path) -> None:
    queries, qrels = _files(tmp_path, "q2\ta\t1\n")
    packed = qrels.with_name("judged.tsv.gz")
    packed.write_bytes(gzip.compress(qrels.read_bytes()))
    qrels.unlink()
    for path in (packed, qrels):
        assert read_judged_queries(queries, path, "articles").split == "judged"
