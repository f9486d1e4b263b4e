"""What commands print is what they were given: names with brackets are names, and no markup."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from sidecar.cli.output import check_writable, letters_path, print_json, print_json_line, say, show
from sidecar.cli.progress import measuring_progress, removal_progress
from sidecar.errors import InvalidInput
from sidecar.search import SearchHit, SearchResult
from tests.support.shell import typed

SENTENCES = [
    "logs[a] is searched by a model.",
    "12 documents are in dead-letters-[/x]-1.jsonl.",
    "[bold]not bold[/bold] and [red]not red",
    "a :smile: and a C:\\path\\[x]",
    "a line of more than eighty characters is one line, because programs read it: " + "x" * 200,
]


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_sentence_is_printed_as_it_is(sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(sentence)
    show(sentence)
    printed = capsys.readouterr()
    assert printed.err == printed.out == f"{sentence}\n"


def test_json_is_one_document_for_a_person_and_one_line_for_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [1]})
    print_json_line({"a": [1]})
    assert capsys.readouterr().out == '{\n  "a": [\n    1\n  ]\n}\n{"a":[1]}\n'


@pytest.mark.parametrize(("name", "stem"), [("shop", "shop"), ("a/b", "a_b"), ("../../etc/x", ".._.._etc_x")])
def test_dead_letters_lie_in_the_working_directory(name: str, stem: str) -> None:
    path = letters_path(name)
    assert len(path.parts) == 1
    assert re.fullmatch(rf"dead-letters-{re.escape(stem)}-\d{{8}}T\d{{6}}\.jsonl", path.name)


def test_half_a_character_is_escaped_and_everything_else_is_as_ever(capsys: pytest.CaptureFixture[str]) -> None:
    whole = SearchResult((SearchHit("a", 1, {"text": "lift \u00e4"}),), total=None, profile="sparse")
    half = SearchResult((SearchHit("a", 1, {"text": "lift \ud800"}),), total=None, profile="sparse")
    print_json(whole)
    first = json.loads(capsys.readouterr().out)
    print_json(half)
    second = json.loads(capsys.readouterr().out)
    assert second["hits"][0].pop("source") == {"text": "lift \ud800"}
    assert first["hits"][0].pop("source") == {"text": "lift \u00e4"}
    assert first == second


def test_what_is_no_data_is_an_error() -> None:
    with pytest.raises(TypeError, match="set can't be written"):
        print_json({"a": {1}})


@pytest.mark.parametrize("line", ["my[/b]: hybrid", "[bold]x: y"])
def test_names_in_a_progress_bar_are_names(line: str) -> None:
    out = io.StringIO()
    with measuring_progress(Console(file=out, force_terminal=True, width=120)) as say_progress:
        say_progress(line, 1, 2)
    assert line in out.getvalue()


def test_how_far_a_removal_is_is_shown_from_its_first_documents_on() -> None:
    out = io.StringIO()
    with removal_progress(Console(file=out, force_terminal=True, width=120)) as show:
        assert "taking vectors out" not in out.getvalue()
        show(20, 45)
        show(50, 45)
    assert "20/45" in out.getvalue() or "50/50" in out.getvalue()
    assert "50/45" not in out.getvalue()


def test_where_a_file_can_not_be_written_is_known_before(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "report.json")
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "report.json", tmp_path):
        with pytest.raises(InvalidInput, match="can't be written"):
            check_writable(path)
        assert "can't be written" in typed("demo", "--json", str(path), code=1).stderr


def test_the_demo_is_not_started_for_a_question_that_can_not_be_asked() -> None:
    assert "no character but white space" in typed("demo", "how do I parse", " ", code=1).stderr
