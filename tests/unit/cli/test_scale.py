"""`sidecar encode-corpus` where nothing that it wrote has a text; the encoding itself is not run here."""

from __future__ import annotations

from pathlib import Path

import pytest

import sidecar.scale
from sidecar.cluster import DeadLetters
from sidecar.scale import ScalePlan, ScaleSummary
from tests.support.shell import Done, typed


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_sparse_bundle: Path):
    """Run the command to a written summary and an exit code."""
    (tmp_path / "shop.jsonl").write_text('{"_id": "1", "name": "a lamp"}\n')
    monkeypatch.chdir(tmp_path)

    def run(summary: ScaleSummary, *target: str, code: int) -> Done:
        def encoded(plan: ScalePlan, letters: DeadLetters, progress: object = None) -> ScaleSummary:
            return summary

        monkeypatch.setattr(sidecar.scale, "encode_corpus", encoded)
        return typed("encode-corpus", "shop.jsonl", "--model", str(tiny_sparse_bundle), *target, code=code)

    return run


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (("--out", "new", "--source-field", "body", "--source-field", "head"), "a text in body, head:"),
        (("--index", "shop"), "a text in the fields that shop was set up for:"),
    ],
)
def test_a_corpus_without_a_text_is_an_error(told, target: tuple[str, ...], words: str) -> None:
    done = told(ScaleSummary(read=2, written=2, without_vector=2), *target, code=1)
    assert "written 2 (without text 2" in done.stderr
    assert f"None of the 2 documents has {words}" in done.stderr
    assert "--source-field" in done.stderr


@pytest.mark.parametrize(
    "summary", [ScaleSummary(), ScaleSummary(read=2, written=2, without_vector=1), ScaleSummary(read=2, written=2)]
)
def test_a_corpus_with_a_text_or_without_documents_is_none(told, summary: ScaleSummary) -> None:
    assert f"read {summary.read}:" in told(summary, "--out", "new", code=0).stderr
