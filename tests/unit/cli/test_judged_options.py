"""What goes together: a collection, or an index that exists with judged queries."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.shell import typed

NOBODY = ["--engine", "http://127.0.0.1:1", "--sidecar", "127.0.0.1:1"]
JUDGED = ["--queries", "q.jsonl", "--qrels", "q.tsv"]


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("SIDECAR_ENGINE", "SIDECAR_TARGET"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([*NOBODY], "nothing to measure on: name a --collection, or an --index"),
        ([*JUDGED, *NOBODY], "--queries and --qrels are about --index"),
        (["--collection", "c", "--qrels", "q.tsv", *NOBODY], "--queries and --qrels are about --index"),
        (["--index", "i", *NOBODY], "--index needs --queries and --qrels"),
        (["--index", "i", "--queries", "q.jsonl", *NOBODY], "--index needs --queries and --qrels"),
        (["--index", "i", "--collection", "c", *JUDGED, *NOBODY], "--collection can't be given with --index"),
        (["--index", "i", "--split", "dev", *JUDGED, *NOBODY], "--split can't be given with --index"),
        (["--index", "i", "--passages", *JUDGED, *NOBODY], "--passages can't be given with --index"),
        (
            ["--index", "i", "--long-texts", "truncate", "--passage-words", "9", *JUDGED, *NOBODY],
            "--long-texts, --passage-words can't be given with --index",
        ),
        (["--index", "i", "--model", "m", *JUDGED, *NOBODY], "--model can't be given with --index"),
        (["--index", "i", *JUDGED, "--sidecar", "127.0.0.1:1"], "name it by --engine"),
        (["--index", "i", *JUDGED, *NOBODY], "q.tsv is missing"),
    ],
)
def test_evaluate_refuses_what_does_not_go_together(arguments: list[str], said: str) -> None:
    done = typed("evaluate", *arguments, code=1)
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([*NOBODY], "nothing to measure on: name a --collection, or an --index"),
        (["--index", "i", "--split", "dev", *JUDGED, *NOBODY], "--split can't be given with --index"),
        (["--index", "i", "--model", "m", *JUDGED, *NOBODY], "--model can't be given with --index"),
        (["--collection", "none", *NOBODY], "There is no collection at none"),
        (["--collection", "none", "--measure", "P@5", *NOBODY], "'P@5' is no measure: one of nDCG@10, MRR@10, R@100"),
        (["--collection", "none", "--profile", "nonsense", *NOBODY], "nonsense"),
    ],
)
def test_tune_refuses_what_does_not_go_together(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = typed("tune", "--out", "tuned.yaml", *arguments, code=1)
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_tune_finds_a_file_that_is_there_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "wolf"}\n')
    (tmp_path / "dev.tsv").write_text("q\td\t1\n")
    (tmp_path / "tuned.yaml").write_text("name: mine\n")
    files = ["--queries", "queries.jsonl", "--qrels", "dev.tsv"]
    assert (
        "tuned.yaml exists already"
        in typed("tune", "--index", "i", *files, "--out", "tuned.yaml", *NOBODY, code=1).stderr
    )
    assert "127.0.0.1:1" in typed("tune", "--index", "i", *files, "--out", "other.yaml", *NOBODY, code=1).stderr
    assert (tmp_path / "tuned.yaml").read_text() == "name: mine\n"
    assert not (tmp_path / "other.yaml").exists()
