"""Options that contradict each other, or are no JSON: told before anything is asked of a cluster or a sidecar.

The addresses lead nowhere: a command that gets as far as connecting would say so instead.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.shell import typed

CLUSTER = ["--engine", "http://127.0.0.1:1"]
BOTH = [*CLUSTER, "--sidecar", "127.0.0.1:1"]


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of the machine count, and no file is left in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "SIDECAR_ENGINE",
        "SIDECAR_ADDRESS",
        "SIDECAR_TOKEN",
        "SIDECAR_ENGINE_USER",
        "SIDECAR_ENGINE_PASSWORD",
        "SIDECAR_ENGINE_API_KEY",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["migrate", "start", "--index", "i", "--model", "m", "--into", "j", "--vector-field", "v", *BOTH],
            "With --into, vectors lie in the same fields as before.",
        ),
        (
            ["migrate", "start", "--index", "i", "--model", "m", "--into", "j", "--hash-field", "h", *BOTH],
            "With --into, vectors lie in the same fields as before.",
        ),
        (["migrate", "verify", "--index", "i", "--qrels", "q.tsv", *BOTH], "are about --queries"),
        (["migrate", "verify", "--index", "i", "--min-overlap", "0.5", *BOTH], "are about --queries"),
        (
            ["migrate", "verify", "--index", "i", "--queries", "q.txt", "--max-loss", "0.1", *BOTH],
            "--max-loss needs --qrels",
        ),
        (["reconcile", "--index", "i", "--where", "{not json", *BOTH], "--where"),
        (["reconcile", "--index", "i", "--where", "[1]", *BOTH], "--where"),
        (["search", "wolf", "--index", "i", "--filter", "{not json", *BOTH], "--filter takes a query clause as JSON."),
        (
            ["search", "wolf", "--index", "i", "--filter", '{"\udcff": 1}', *BOTH],
            "--filter takes a query clause as JSON.",
        ),
        (["reconcile", "--index", "i", "--where", '{"\udcff": 1}', *BOTH], "--where is no valid JSON"),
        (
            ["search", "wolf", "--index", "i", "--filter", "[]", *BOTH],
            "--filter takes one query clause, a JSON object.",
        ),
        (["search", "wolf", "--index", "i", "--filter", '"term"', *BOTH], "--filter takes one query clause"),
        (["search", "wolf", "--index", "i", "--profile", "nonsense", *BOTH], "nonsense"),
        (["search", "wolf", "--index", "i", "--profile", "missing.yaml", *BOTH], "missing.yaml"),
    ],
)
def test_a_contradiction_is_one_line_and_code_1(arguments: list[str], said: str) -> None:
    done = typed(*arguments, code=1)
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert list(Path().iterdir()) == [], "no file of dead letters is left behind"


@pytest.mark.parametrize(
    "arguments",
    [
        ["search", "wolf", "--index", "i", "--size", "0", *BOTH],
        ["search", "wolf", "--index", "i", "--from", "-1", *BOTH],
        ["migrate", "swap", "--index", "i", "--block-seconds", "0", *BOTH],
        ["migrate", "verify", "--index", "i", "--sample", "-1", *BOTH],
        ["migrate", "verify", "--index", "i", "--min-overlap", "1.5", *BOTH],
        ["migrate", "start", "--index", "i", "--model", "m", "--long-texts", "half", *BOTH],
        ["reconcile", "--index", "i", "--slices", "many", *BOTH],
        ["migrate", "status", *CLUSTER],
        ["migrate", "start", "--index", "i", *BOTH],
        ["search", "--index", "i", *BOTH],
        ["retry", *BOTH],
        ["unheard-of"],
        ["migrate", "unheard-of"],
    ],
)
def test_wrong_usage_is_code_2(arguments: list[str]) -> None:
    done = typed(*arguments, code=2)
    assert done.stdout == ""
    assert "Usage:" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["migrate", "status", "--index", "i", *CLUSTER],
        ["migrate", "status", "--index", "i", "--json", *CLUSTER],
        ["migrate", "drop", "--index", "i", *CLUSTER],
        ["migrate", "abort", "--index", "i", "--now", *CLUSTER],
        ["migrate", "swap", "--index", "i", *BOTH],
        ["migrate", "rollback", "--index", "i", *BOTH],
        ["teardown", "--index", "i", *CLUSTER],
    ],
)
def test_a_cluster_that_is_not_there_is_named(arguments: list[str]) -> None:
    done = typed(*arguments, code=1)
    assert done.stdout == ""
    assert "http://127.0.0.1:1" in done.stderr


def test_credentials_never_stand_in_a_message() -> None:
    address = ["--engine", "http://somebody:hunter2@127.0.0.1:1"]
    done = typed("migrate", "status", "--index", "i", *address, code=1)
    assert "hunter2" not in done.stdout + done.stderr


def test_letters_that_are_not_there() -> None:
    assert typed("retry", "letters.jsonl", "--index", "i", *BOTH, code=1).stderr.startswith("error: ")


def test_a_group_without_a_command_explains_itself() -> None:
    done = typed("migrate", code=None)
    for command in ("start", "status", "verify", "swap", "rollback", "drop", "abort"):
        assert command in done.stdout + done.stderr
