"""The demo's report on a terminal: rankings side by side, expansion, timings."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sidecar.cli.demo.report import Answer, Corpus, Expansion, Question, WeightedTerm

__all__ = ["show_corpus", "show_question"]

TITLES = {"lexical": "BM25", "sparse": "sparse", "sparse+rerank": "sparse + rerank"}
SHOWN_TERMS = 12
PANEL = 6
"""Columns of the panel's border and padding."""
FRAME = PANEL + 4
"""Columns of panel and ranks."""
COLUMN_GAP = 2
MARK = 4
"""Columns of `new`, of ▲ and ▼ with a number, and a space."""
LABEL = 15


def show_corpus(console: Console, corpus: Corpus) -> None:
    """Print one line on what was indexed."""
    console.print(
        f"[green]✓[/] {corpus.documents:,} docstrings encoded and indexed in {corpus.seconds:.1f} s "
        f"([bold]{corpus.documents_per_second:,.0f}[/] documents/s, {corpus.terms_per_document:.0f} terms a document, "
        f"{corpus.index_bytes / 1e6:.1f} MB on disk)",
        highlight=False,
    )


def show_question(console: Console, question: Question, size: int) -> None:
    """Print one question: a column per profile, then what the encoder did and what it cost."""
    parts: list[RenderableType] = [_rankings(question.answers, size, console.width)]
    parts.append(Text(f"\nnew: not among BM25's first {size}; ▲▼: places moved against BM25\n", "dim"))
    parts.append(_terms("query terms", question.query_terms, "cyan", console.width - PANEL))
    if question.expansion is not None:
        parts.extend(_expansion(question.expansion, console.width - PANEL))
    parts.append(_timings(question.answers))
    console.print()
    console.print(Panel(Group(*parts), title=Text(question.text, "bold"), title_align="left", padding=(1, 2)))


def _rankings(answers: Sequence[Answer], size: int, width: int) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), expand=True)
    table.add_column("", justify="right", style="dim", width=2)
    for answer in answers:
        table.add_column(TITLES.get(answer.profile, answer.profile), ratio=1, header_style="bold underline")
    room = (width - FRAME) // len(answers) - COLUMN_GAP
    first = [place.id for place in answers[0].places[:size]]
    for row in range(size):
        cells = [_cell(answer, row, first if answer is not answers[0] else None, room) for answer in answers]
        if any(cell.plain for cell in cells):
            table.add_row(str(row + 1), *cells)
    return table


def _cell(answer: Answer, row: int, baseline: Sequence[str] | None, room: int) -> Text:
    if row >= len(answer.places):
        return Text("")
    name = answer.places[row].id
    if baseline is None:
        return Text(_fitted(name, room), no_wrap=True)
    if name not in baseline:
        return Text.assemble((f"{'new':<{MARK}}", "green"), (_fitted(name, room - MARK), "bold green"), no_wrap=True)
    moved = baseline.index(name) - row
    mark = f"{'▲' if moved > 0 else '▼'}{abs(moved)}" if moved else "="
    return Text.assemble((f"{mark:<{MARK}}", "dim"), _fitted(name, room - MARK), no_wrap=True)


def _fitted(name: str, room: int) -> str:
    """Return a dotted name in at most `room` characters: its end tells more than its beginning."""
    return name if len(name) <= room else "…" + name[len(name) - max(1, room - 1) :]


def _terms(label: str, terms: Sequence[WeightedTerm], style: str, width: int) -> Text:
    """Return terms with their weights behind a label: lines of `width`, broken between two terms, below the first."""
    pairs = [Text.assemble((one.term, style), (f" {one.weight:.2f}", "dim")) for one in terms[:SHOWN_TERMS]]
    if len(terms) > SHOWN_TERMS:
        pairs.append(Text(f"and {len(terms) - SHOWN_TERMS} more", "dim"))
    lines = [Text(f"{label:<{LABEL}}", "dim")]
    for position, pair in enumerate(pairs):
        following = "" if position == len(pairs) - 1 else " ·"
        if position and len(lines[-1]) + len(pair) + len(following) + 1 > width:
            lines.append(Text(" " * LABEL))
        elif position:
            lines[-1].append(" ")
        lines[-1].append_text(pair).append(following, "dim")
    return Text("\n").join(lines)


def _expansion(expansion: Expansion, width: int) -> list[RenderableType]:
    return [
        Text.assemble(("\nwhy ", "dim"), (expansion.document, "bold"), (" is found: its vector has", "dim")),
        _terms("  its own", expansion.own, "cyan", width),
        _terms("  added by it", expansion.added, "green", width),
    ]


def _timings(answers: Sequence[Answer]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("\nmilliseconds", style="dim")
    for name in ("encode", "search", "rerank", "all"):
        table.add_column(f"\n{name}", justify="right")
    table.add_column("")
    for answer in answers:
        stages = (answer.encode_ms, answer.retrieve_ms, answer.rerank_ms)
        table.add_row(
            TITLES.get(answer.profile, answer.profile),
            *(f"{value:.1f}" if value else "" for value in stages),
            Text(f"{answer.total_ms:.1f}", "bold"),
            Text(f"degraded: {answer.degraded}", "bold red") if answer.degraded else "",
        )
    return table
