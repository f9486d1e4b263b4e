"""`sidecar migrate verify` reads its files before it compares every document of an index."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.shell import typed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--queries", "none.txt"], "none.txt can't be read"),
        (["--queries", "queries.jsonl"], "the query 'q1' is there twice"),
        (["--queries", "queries.txt", "--qrels", "none.tsv"], "none.tsv"),
        (["--queries", "queries.txt", "--profile", "nobody"], "No profile and no file is called 'nobody'"),
    ],
)
def test_a_file_that_can_not_be_used_is_told_of_first(
    options: list[str], said: str, untouched: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "queries.txt").write_text("lion\n")
    (tmp_path / "queries.jsonl").write_text('{"_id": "q1", "text": "a"}\n{"_id": "q1", "text": "b"}\n')
    address = ["--engine", f"http://{untouched}", "--sidecar", untouched]
    assert said in typed("migrate", "verify", "--index", "shop", *options, *address, code=1).stderr
