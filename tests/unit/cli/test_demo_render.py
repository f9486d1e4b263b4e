"""What the demo shows on a terminal of 80 columns: whole lines, every mark, terms beside their weights."""

from __future__ import annotations

import re

import pytest
from rich.console import Console

from sidecar.cli.demo.render import show_question
from sidecar.cli.demo.report import Answer, Expansion, Place, Question, WeightedTerm

NAMES = ("argparse", "optparse.OptionParser.parse_args", "a" * 70, "getopt", "cmd.Cmd.parseline")
TERMS = tuple(WeightedTerm(f"term{number}", 1 + number / 7) for number in range(20))


def answer(profile: str, names: tuple[str, ...], degraded: str | None = None) -> Answer:
    places = tuple(Place(rank, name, "function", 1.0) for rank, name in enumerate(names, 1))
    return Answer(profile, places, 1.5, 24.6, 5022.0, 5048.1, degraded)


def question() -> Question:
    return Question(
        text="how do I parse command line arguments",
        query_terms=TERMS,
        answers=(
            answer("lexical", NAMES),
            answer("sparse", (*NAMES[1:], "subprocess.CompletedProcess")),
            answer("sparse+rerank", tuple(reversed(NAMES)), "DEADLINE_EXCEEDED"),
        ),
        expansion=Expansion("optparse.OptionParser.parse_args", TERMS, TERMS),
    )


@pytest.fixture(params=[80, 120])
def lines(request: pytest.FixtureRequest) -> list[str]:
    console = Console(width=request.param, record=True, file=open("/dev/null", "w", encoding="utf-8"))  # noqa: SIM115
    with console.file:
        show_question(console, question(), 5)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= request.param
    return text.splitlines()


def test_every_place_has_its_mark_and_the_end_of_its_name(lines: list[str]) -> None:
    ranks = [line for line in lines if re.match(r"│ +\d  ", line)]
    assert len(ranks) == 5
    assert [line.count("▲") + line.count("▼") + line.count(" = ") + line.count("new ") for line in ranks] == [2] * 5
    assert "parse_args" in ranks[1]
    assert len(re.findall(r"…?a{9,}", ranks[2])) == 2


def test_no_line_ends_between_a_term_and_its_weight(lines: list[str]) -> None:
    weighted = [line for line in lines if "·" in line]
    assert len(weighted) >= 3
    for line in weighted:
        assert not re.search(r"term\d+ *│$", line)
        assert not re.match(r"│ *\d\.\d\d", line)


def test_a_stage_that_was_left_out_is_said(lines: list[str]) -> None:
    assert any("DEADLINE_EXCEEDED" in line for line in lines)
