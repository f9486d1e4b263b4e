"""BEIR folders, whole and broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sidecar.domain import Document
from sidecar.errors import EvaluationError
from sidecar.evaluation.collection import Collection, read_collection

CORPUS = [
    {"_id": "d1", "title": "Wings", "text": "of swept planform"},
    {"_id": "d2", "title": "", "text": "boundary layer"},
    {"_id": "d3", "title": "", "text": ""},
]
QUERIES = [{"_id": "q1", "text": "swept wings"}, {"_id": "q2", "text": "layers"}, {"_id": "q3", "text": "unjudged"}]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq2\td2\t1\n"


def _write(folder: Path, corpus=CORPUS, queries=QUERIES, qrels: str = QRELS) -> Path:
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    (folder / "corpus.jsonl").write_text("".join(json.dumps(one) + "\n" for one in corpus))
    (folder / "queries.jsonl").write_text("".join(json.dumps(one) + "\n" for one in queries))
    (folder / "qrels" / "test.tsv").write_text(qrels)
    return folder


def test_reads_documents_judged_queries_and_grades(tmp_path: Path) -> None:
    collection = read_collection(_write(tmp_path / "tiny"))
    assert collection.name == "tiny"
    assert [query.id for query in collection.queries] == ["q1", "q2"]
    assert collection.judgements == {"q1": {"d1": 2, "d2": 0}, "q2": {"d2": 1}}
    assert [Collection.text_of(document) for document in collection.documents] == [
        "Wings of swept planform",
        "boundary layer",
        "",
    ]
    assert collection.empty_documents == 1
    assert collection.own_documents == {}


def test_judged_documents_that_are_not_there_are_counted(tmp_path: Path) -> None:
    whole = read_collection(_write(tmp_path / "whole"))
    assert (whole.missing_documents, whole.queries_missing_relevant) == (0, 0)
    qrels = QRELS + "q1\td8\t0\nq2\td9\t1\nq1\td9\t0\nq2\td7\t2\n"
    torn = read_collection(_write(tmp_path / "torn", qrels=qrels))
    assert torn.missing_documents == 3
    assert torn.queries_missing_relevant == 1, "what is missing and not relevant takes nothing from q1"


def test_qrels_without_header(tmp_path: Path) -> None:
    folder = _write(tmp_path, qrels="q2\td2\t1\n")
    assert read_collection(folder).judgements == {"q2": {"d2": 1}}


def test_a_document_that_is_the_query_is_known_by_id_and_text(tmp_path: Path) -> None:
    corpus = [{"_id": "q1", "title": "", "text": "  Swept   WINGS"}, {"_id": "q2", "text": "something else"}]
    collection = read_collection(_write(tmp_path, corpus=corpus))
    assert collection.own_documents == {"q1": "q1"}


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("corpus.jsonl", '{"_id": "d1", "text": "x"}\nnot json\n', "line 2: this is no JSON"),
        ("corpus.jsonl", '{"_id": 7, "text": "x"}\n', 'line 1: an object with a string "_id"'),
        ("corpus.jsonl", '["d1"]\n', "line 1: an object"),
        ("corpus.jsonl", '{"_id": "d1"}\n', '"text"'),
        ("corpus.jsonl", '{"_id": "d1", "text": "x", "title": null}\n', '"title"'),
        ("corpus.jsonl", '{"_id": "d1", "text": "x"}\n{"_id": "d1", "text": "y"}\n', "twice"),
        ("corpus.jsonl", "\n", "holds no document"),
        ("queries.jsonl", '{"_id": "q1", "text": "x"}\n', "lacks 1 queries"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\n", "holds no judgement"),
        ("qrels/test.tsv", "q1 d1 1\n", "line 1"),
        ("qrels/test.tsv", "q1\td1\t0.5\n", "line 1"),
        ("qrels/test.tsv", "q1\t0\td1\t1\n", "line 1"),
    ],
)
def test_broken_files_are_named_with_their_line(tmp_path: Path, file: str, content: str, says: str) -> None:
    folder = _write(tmp_path)
    (folder / file).write_text(content)
    with pytest.raises(EvaluationError) as caught:
        read_collection(folder)
    assert says in str(caught.value)
    assert Path(file).name in str(caught.value)


def test_missing_parts(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no collection at"):
        read_collection(tmp_path / "nowhere")
    folder = _write(tmp_path)
    with pytest.raises(EvaluationError, match="no split 'dev'; it has: test"):
        read_collection(folder, "dev")
    (folder / "corpus.jsonl").unlink()
    with pytest.raises(EvaluationError, match=r"corpus\.jsonl is missing"):
        read_collection(folder)
    (folder / "corpus.jsonl").write_bytes(b'{"_id": "\xff"}')
    with pytest.raises(EvaluationError, match="can't be read"):
        read_collection(folder)


def test_text_of_a_document_is_title_and_text() -> None:
    assert Collection.text_of(Document("x", {"title": " A ", "text": "b\n"})) == "A b"
