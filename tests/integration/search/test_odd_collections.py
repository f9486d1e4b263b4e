"""`sidecar evaluate` on collections of odd shapes: what a cluster takes is measured, whatever its ids and texts are."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.integration.search.conftest import World
from tests.support.shell import typed

pytestmark = pytest.mark.integration

LONGEST_ID = "x" * 512

DOCUMENTS: dict[str | int, tuple[str | None, str]] = {
    1: (None, "the wolf in the rain"),
    "d 1": ("cat", "a cat near the river"),
    "a/b?c#d": ("", "a dog near the bridge"),
    "100%": ("", "the horse in the snow"),
    "🦊": ("", "a 🦊 is no bird"),
    LONGEST_ID: ("", "the zebra is long"),
    "..": ("", "a mouse near the market"),
    "empty": ("", ""),
    "title alone": ("the lion", ""),
    "punctuation": ("", "?!… --- ;;; ()"),
    "digits": ("", "20231231 3.14159 1e-9"),
    "long": ("the bear", "the bear is cold. " * 3_000),
    "one word": ("", "q" * 50_000),
    "twin": ("fish", "a fish in the city"),
    "other twin": ("fish", "a fish in the city"),
    "markup": ("", '</script><b>bold</b> {"a": 1} [/red]'),
}

QUERIES: dict[str | int, tuple[str, list[str]]] = {
    1: ("wolf", ["1"]),
    "spaces": ("cat", ["d 1"]),
    "slashes": ("dog", ["a/b?c#d"]),
    "percent": ("horse", ["100%"]),
    "longest": ("zebra", [LONGEST_ID]),
    "dots": ("mouse", [".."]),
    "title": ("lion", ["title alone"]),
    "number": ("20231231", ["digits"]),
    "long": ("bear", ["long"]),
    "twins": ("fish in the city", ["twin", "other twin"]),
    "operators": ('"cat" AND (river OR x) -dog title:c* ~2 [a TO b] ^3 \\ / !', ["d 1"]),
    "a thousand words": ("horse " * 900 + "snow " * 100, ["100%"]),
    "markup": ("<b>bold</b> [/red]", ["markup"]),
}
"""Each finds its document first by words, and documents that are alike in any order."""

NOTHING_FOUND: dict[str, str] = {"stop words": "the of and to be", "star": "*", "cyrillic": "где волк"}


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    folder = tmp_path / "odd collection"
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": name, "title": title, "text": text} for name, (title, text) in DOCUMENTS.items()]
    queries = [{"_id": name, "text": text} for name, (text, _) in QUERIES.items()]
    queries += [{"_id": name, "text": text} for name, text in NOTHING_FOUND.items()]
    for path, records in ((folder / "corpus.jsonl.gz", corpus), (folder / "queries.jsonl.gz", queries)):
        path.write_bytes(gzip.compress("".join(json.dumps(one) + "\r\n" for one in records).encode("utf-8-sig")))
    lines = [f"{query}\t{document}\t1" for query, (_, documents) in QUERIES.items() for document in documents]
    lines += [f"{query}\tempty\t-1" for query in NOTHING_FOUND]
    (folder / "qrels" / "odd split.tsv").write_text("query\tdocument\trelevance\r\n" + "\r\n".join(lines))
    return folder


def test_ids_and_texts_of_any_kind_are_measured(world: World, odd: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = typed(
        "evaluate", "--collection", str(odd), "--split", "odd split", "--profiles", "lexical,sparse,hybrid+rerank",
        "--per-query", "--latency-queries", "1", "--worst", "3", "--json", str(report),
        "--engine", world.url, "--sidecar", world.target,
    )  # fmt: skip
    assert "for 3 of 16 queries no document is judged relevant" in done.stderr
    (found,) = json.loads(report.read_text())["collections"]
    assert (found["documents"], found["empty_documents"], found["queries"]) == (len(DOCUMENTS), 1, 16)
    assert (found["missing_documents"], found["queries_without_relevant"]) == (0, 3)
    # Query 1 is the word that document 1 mentions: nobody's own document.
    assert found["removed_own_documents"] == 0
    lexical, sparse, reranked = found["profiles"]
    for query in QUERIES:
        assert lexical["per_query"][str(query)]["nDCG@10"] == pytest.approx(1.0), query
    for profile in (lexical, sparse, reranked):
        assert all(profile["per_query"][query]["nDCG@10"] == 0.0 for query in NOTHING_FOUND)


def test_ids_that_are_no_columns_of_a_run_are_refused_before_anything_is_done(
    world: World, odd: Path, tmp_path: Path
) -> None:
    done = typed(
        "evaluate", "--collection", str(odd), "--split", "odd split", "--profiles", "lexical",
        "--runs", str(tmp_path / "runs"), "--engine", world.url, "--sidecar", world.target, code=1,
    )  # fmt: skip
    assert "is no column of a TREC run file" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_three_documents_and_one_query(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": f"q{number}", "text": f"a {word}"} for number, word in enumerate(("cat", "dog", "wolf"))]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(one) + "\n" for one in corpus))
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "dog"}\n')
    # TREC's columns; and the query's id is that of its answer, as known items often have it.
    (folder / "qrels" / "test.tsv").write_text("q1 0 q1 3\n")
    done = typed(
        "evaluate", "--collection", str(folder), "--profiles", "lexical,sparse,hybrid,hybrid+rerank",
        "--engine", world.url, "--sidecar", world.target,
    )  # fmt: skip
    assert done.stdout.startswith("tiny, 1 query: nothing is better than lexical, nDCG@10 1.0000.\n")
    assert "with 1 judged query a difference" in done.stderr
