"""BEIR folders, whole and broken."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from sidecar.domain import Document
from sidecar.errors import EvaluationError
from sidecar.evaluation.collection import Collection, read_collection, read_collections

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


def test_a_document_that_is_judged_relevant_is_to_be_found_whatever_its_id(tmp_path: Path) -> None:
    """Known items: the title of document 1 is query 1. Each answer was taken out of its own ranking."""
    corpus = [{"_id": "q1", "text": "Swept wings"}, {"_id": "q2", "text": "Layers"}]
    collection = read_collection(_write(tmp_path, corpus=corpus, qrels="q1\tq1\t1\nq2\tq2\t0\nq2\tq1\t1\n"))
    assert collection.own_documents == {"q2": "q2"}


def test_a_document_that_only_mentions_the_query_is_another_one(tmp_path: Path) -> None:
    """Where queries and documents are numbered, and a query is a word, document 1 has nothing to do with query 1."""
    corpus = [
        {"_id": "q1", "title": "Aeroplanes", "text": "that have swept wings, and what becomes of them in a shock wave"},
        {"_id": "q2", "title": "Clay", "text": "layers"},
    ]
    assert read_collection(_write(tmp_path, corpus=corpus)).own_documents == {"q2": "q2"}


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("corpus.jsonl", '{"_id": "d1", "text": "x"}\nnot json\n', "line 2: this is no JSON"),
        ("corpus.jsonl", '{"_id": 7.5, "text": "x"}\n', 'line 1: an object with an "_id"'),
        ("corpus.jsonl", '{"_id": true, "text": "x"}\n', 'line 1: an object with an "_id"'),
        ("corpus.jsonl", '{"text": "x"}\n', 'line 1: an object with an "_id"'),
        ("corpus.jsonl", '["d1"]\n', "line 1: an object"),
        ("corpus.jsonl", '{"_id": "d1"}\n', '"text"'),
        ("corpus.jsonl", '{"_id": "d1", "text": "x", "title": 3}\n', '"title"'),
        ("corpus.jsonl", '{"_id": "d1", "text": "x"}\n{"_id": "d1", "text": "y"}\n', "twice"),
        ("corpus.jsonl", "\n", "holds no document"),
        ("queries.jsonl", '{"_id": "q1", "text": "x"}\n', "lacks 1 queries"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\n", "holds no judgement"),
        ("qrels/test.tsv", "q1 d1 1\n", "line 1"),
        ("qrels/test.tsv", "q1\td1\t0.5\n", "line 1"),
        ("qrels/test.tsv", "q1\td1\t1\t5\n", "line 1"),
        ("qrels/test.tsv", "q1\td1\tgood\n", "line 1"),
        ("qrels/test.tsv", "q1\td1\t1\nquery-id\tcorpus-id\tscore\n", "line 2"),
        ("qrels/test.tsv", "q1\td1\tnan\n", "line 1"),
        ("qrels/test.tsv", "q1\td1\tinf\n", "line 1"),
        ("qrels/test.tsv", "q1\td1\t0\nq2\td1\t-1\n", "holds no grade above 0"),
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


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("queries.jsonl", '{"_id": "q1", "text": "x"}\n{"_id": "q2", "text": " "}\n', "query 'q2' is judged"),
        ("queries.jsonl", '{"_id": "q1", "text": "x"}\n{"_id": "q1", "text": "y"}\n', "the query 'q1' twice"),
        ("queries.jsonl", '{"_id": "q1", "text": "x"}\n{"_id": "q2", "text": "\\ud800"}\n', "line 2: a lone surrogate"),
        ("corpus.jsonl", '{"_id": "d1", "text": "a \\ud800"}\n', "line 1: a lone surrogate"),
        ("corpus.jsonl", '{"_id": "", "text": "a"}\n', "has 0 bytes"),
        ("corpus.jsonl", json.dumps({"_id": "ä" * 257, "text": "a"}), "has 514 bytes"),
        ("qrels/test.tsv", "q1\td1\t1\nq2\td1\t1000001\n", "line 2: a grade is at most 1,000,000"),
        ("qrels/test.tsv", "q1\td1\t1\nq2\td1\t1\nq1\td1\t0\n", "line 3: 'd1' has another grade for 'q1' above"),
    ],
)
def test_what_no_search_could_measure_is_refused_before_anything_is_done(
    tmp_path: Path, file: str, content: str, says: str
) -> None:
    folder = _write(tmp_path)
    (folder / file).write_text(content)
    with pytest.raises(EvaluationError) as caught:
        read_collection(folder)
    assert says in str(caught.value)
    assert Path(file).name in str(caught.value)


def test_a_query_that_is_too_large_is_named(tmp_path: Path) -> None:
    folder = _write(tmp_path, queries=[QUERIES[0], {"_id": "q2", "text": "long " * 8_000}])
    with pytest.raises(EvaluationError, match=r"'q2' is judged, and can't be asked: .* 40,000 bytes"):
        read_collection(folder)


def test_a_query_that_nobody_judged_may_be_blank(tmp_path: Path) -> None:
    folder = _write(tmp_path, queries=[*QUERIES[:2], {"_id": "q3", "text": ""}])
    assert [query.id for query in read_collection(folder).queries] == ["q1", "q2"]


def test_the_same_judgement_twice_is_one(tmp_path: Path) -> None:
    folder = _write(tmp_path, qrels=QRELS + "q1\td1\t2\n")
    assert read_collection(folder).judgements["q1"] == {"d1": 2, "d2": 0}


def test_byte_order_marks_and_windows_line_ends_are_no_part_of_what_is_read(tmp_path: Path) -> None:
    plain = read_collection(_write(tmp_path / "one" / "c"))
    folder = _write(tmp_path / "two" / "c")
    for path in (folder / "corpus.jsonl", folder / "queries.jsonl", folder / "qrels" / "test.tsv"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_collection(folder) == plain


def _pack(path: Path) -> None:
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


def test_packed_files_are_read(tmp_path: Path) -> None:
    plain = read_collection(_write(tmp_path / "one" / "c"))
    folder = _write(tmp_path / "two" / "c")
    for path in (folder / "corpus.jsonl", folder / "queries.jsonl", folder / "qrels" / "test.tsv"):
        _pack(path)
    assert read_collection(folder) == plain
    with pytest.raises(EvaluationError, match="no split 'dev'; it has: test"):
        read_collection(folder, "dev")


def test_a_file_that_is_not_packed_counts_before_one_that_is(tmp_path: Path) -> None:
    folder = _write(tmp_path)
    (folder / "corpus.jsonl.gz").write_bytes(b"of last year")
    assert len(read_collection(folder).documents) == 3


CUT_OFF = gzip.compress("".join(f'{{"_id": "{number}", "text": "x"}}\n' for number in range(99)).encode())[:-9]


@pytest.mark.parametrize("content", [CUT_OFF, b"no gzip", b""], ids=["cut off", "plain", "empty"])
def test_a_packed_file_that_is_damaged_is_named(tmp_path: Path, content: bytes) -> None:
    folder = _write(tmp_path)
    (folder / "corpus.jsonl").unlink()
    (folder / "corpus.jsonl.gz").write_bytes(content)
    with pytest.raises(EvaluationError, match=r"corpus\.jsonl\.gz can't be unpacked|corpus\.jsonl holds no document"):
        read_collection(folder)


def test_ids_may_be_numbers_and_titles_nothing(tmp_path: Path) -> None:
    """As tables are written that others made: `sidecar index` takes them, too."""
    corpus = [{"_id": 1, "title": None, "text": "swept wings"}, {"_id": "d2", "text": "layers"}]
    queries = [{"_id": 7, "text": "wings"}]
    collection = read_collection(_write(tmp_path, corpus=corpus, queries=queries, qrels="7\t1\t1.0\n"))
    assert [(document.id, document.fields["title"]) for document in collection.documents] == [("1", ""), ("d2", "")]
    assert collection.judgements == {"7": {"1": 1}}
    assert [query.id for query in collection.queries] == ["7"]


@pytest.mark.parametrize(
    "qrels",
    [
        "q1 0 d1 2\nq1 0 d2 0\nq2 0 d2 1\n",
        "q1\t0\td1\t2\nq1 Q0 d2 0\n  q2   0  d2  1\n",
        "topic iteration document relevance\nq1 0 d1 2\nq1 0 d2 0\nq2 0 d2 1\n",
        "\nqid\tdocid\tgrade\nq1\td1\t2\nq1\td2\t0\nq2\td2\t1\n",
    ],
)
def test_judgements_as_trec_has_them_and_headers_of_other_names(tmp_path: Path, qrels: str) -> None:
    expected = read_collection(_write(tmp_path / "one")).judgements
    assert read_collection(_write(tmp_path / "two", qrels=qrels)).judgements == expected


def test_ids_with_spaces_are_kept_where_tabs_stand_between(tmp_path: Path) -> None:
    corpus = [{"_id": "d 1", "text": "x"}, {"_id": "a/b%20🦊", "text": "y"}]
    qrels = "q1\td 1\t1\nq1\ta/b%20🦊\t2\n"
    collection = read_collection(_write(tmp_path, corpus=corpus, qrels=qrels))
    assert collection.judgements == {"q1": {"d 1": 1, "a/b%20🦊": 2}}
    assert collection.missing_documents == 0


def test_two_collections_of_one_name_would_be_one_in_the_report(tmp_path: Path) -> None:
    folders = [_write(tmp_path / "a" / "same"), _write(tmp_path / "b" / "same"), _write(tmp_path / "other")]
    assert [one.name for one in read_collections(folders[1:])] == ["same", "other"]
    with pytest.raises(EvaluationError, match="Two collections are called same"):
        read_collections(folders)
