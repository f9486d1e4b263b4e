"""Commands that write refuse a name that may stand for several indices, before they connect to anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.shell import typed

WRITING = [
    ["setup"],
    ["setup", "--dry-run"],
    ["teardown", "--delete-documents"],
    ["index", "FILE"],
    ["reconcile"],
    ["retry", "FILE"],
    ["frequencies"],
    ["encode-corpus", "FILE"],
    ["migrate", "start", "--model", "other"],
    ["migrate", "status"],
    ["migrate", "verify"],
    ["migrate", "swap"],
    ["migrate", "rollback"],
    ["migrate", "drop"],
    ["migrate", "abort"],
]


@pytest.mark.parametrize("name", ["*", "_all", "shop,books", "_shop", "shop-*"])
@pytest.mark.parametrize("command", WRITING, ids=" ".join)
def test_a_name_of_several_indices_is_refused_with_the_reason(
    command: list[str], name: str, untouched: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "documents.jsonl"
    file.write_text('{"_id": "1", "text": "a"}\n')
    monkeypatch.setenv("SIDECAR_ENGINE", f"http://{untouched}")
    monkeypatch.setenv("SIDECAR_TARGET", untouched)
    given = [str(file) if part == "FILE" else part for part in command]
    done = typed(*given, "--index", name, code=1)
    assert f"'{name}' can't be written to: " in done.stderr
    assert "Name one index, or an alias of one." in done.stderr
    assert [one.name for one in tmp_path.iterdir()] == [file.name]


def test_so_is_that_of_a_second_index(untouched: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDECAR_ENGINE", f"http://{untouched}")
    monkeypatch.setenv("SIDECAR_TARGET", untouched)
    done = typed("migrate", "start", "--index", "shop", "--into", "shop-*", "--model", "other", code=1)
    assert "'shop-*' can't be written to: it is a pattern" in done.stderr
