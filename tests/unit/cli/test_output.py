"""What commands print is what they were given: names with brackets are names, and no markup."""

from __future__ import annotations

import json
import re

import pytest

from sidecar.cli.output import letters_path, print_json, print_json_line, say, show
from sidecar.search import SearchHit, SearchResult

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
