"""`sidecar search`: one question, by any profile, with the reasons if wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from sidecar.cli.connections import ClusterAddress, SidecarAddress, with_addresses
from sidecar.cli.output import print_json
from sidecar.errors import InvalidInput

if TYPE_CHECKING:
    from rich.table import Table

    from sidecar.domain import JsonObject
    from sidecar.search import Contribution, SearchHit, SearchResult

__all__ = ["register"]

SHOWN_CHARACTERS = 160
SHOWN_TERMS = 6


def register(app: typer.Typer) -> None:
    """Add `search` to `app`."""
    app.command("search")(search)


@with_addresses
def search(
    query: Annotated[str, typer.Argument(help="What is searched for.")],
    index: Annotated[str, typer.Option("--index", help="Index or alias; `sidecar setup` made it.")],
    profile: Annotated[
        str, typer.Option("--profile", help="lexical, sparse, hybrid, hybrid-rrf, each also with +rerank; or a file.")
    ] = "hybrid+rerank",
    size: Annotated[int, typer.Option("--size", min=1, help="How many hits.")] = 10,
    from_: Annotated[int, typer.Option("--from", min=0, help="How many hits are skipped.")] = 0,
    filter_: Annotated[
        list[str] | None, typer.Option("--filter", help="Query clause (JSON) that hits must match; several times.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show which terms brought each hit in.")] = False,
    passages: Annotated[
        bool, typer.Option("--passages", help="Show each hit's best passage, in an index that has passages.")
    ] = False,
    preference: Annotated[
        str | None,
        typer.Option("--preference", help="Which copies of the shards answer; a session's id, for instance."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    *,
    cluster: ClusterAddress,
    encoder: SidecarAddress,
) -> None:
    """Search an index and show what each stage gave every hit."""
    from rich.console import Console
    from rich.markup import escape

    from sidecar.search import load_profile

    chosen = load_profile(profile)
    filters = [_clause(text) for text in filter_ or ()]

    async def run() -> tuple[SearchResult, tuple[str, ...]]:
        from sidecar.search import AsyncSearcher

        async with await cluster.connect() as connected, encoder.client() as client:
            searcher = AsyncSearcher(connected, client, chosen, index=index)
            found = await searcher.search(query, size, from_, filters, explain, passages, preference=preference)
            if as_json or not found.hits:
                return found, ()
            return found, (await connected.index_meta(index)).source_fields

    result, first = asyncio.run(run())
    if as_json:
        print_json(result)
        return
    console = Console()
    if result.degraded is not None:
        reason = f"{escape(result.degraded)} (without {result.degraded_stage})"
        console.print(f"[bold yellow]degraded:[/] {reason}", highlight=False)
    if result.partial:
        console.print("[bold yellow]partial:[/] shards of the index were missing or late", highlight=False)
    console.print(_table(result, first) if result.hits else "no hits")
    times = result.timings
    matching = "" if result.total is None else f"{result.total:,} documents match · "
    feedback = f" · feedback {times.feedback_ms:.1f} ms" if times.feedback_ms else ""
    console.print(
        f"[dim]{matching}encode {times.encode_ms:.1f} ms{feedback} · retrieve {times.retrieve_ms:.1f} ms"
        f" · rerank {times.rerank_ms:.1f} ms · total {times.total_ms:.1f} ms[/]",
        highlight=False,
    )


def _clause(text: str) -> JsonObject:
    import orjson

    from sidecar.engine.exact_json import read_json

    try:
        # What the shell gave as no UTF-8 is none again, which the reader refuses.
        clause = read_json(text.encode("utf-8", "surrogatepass"))
    except orjson.JSONDecodeError:
        raise InvalidInput("--filter takes a query clause as JSON.", field="filter") from None
    if not isinstance(clause, dict):
        raise InvalidInput("--filter takes one query clause, a JSON object.", field="filter")
    return clause


def _table(result: SearchResult, first: Sequence[str] = ()) -> Table:
    """Return the hits with their scores and texts, those of the fields `first` in front.

    Where they come from several indices, which one is said: one id may stand for several documents. And so is their
    routing, where two have one id in one index; and the field of each word, where words are searched in several.
    """
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", justify="right", style="dim")
    scores = [
        (title, values)
        for title, values in (
            ("lexical", [hit.lexical_score for hit in result.hits]),
            ("sparse", [hit.sparse_score for hit in result.hits]),
            ("first stage", [hit.first_stage_score for hit in result.hits]),
            ("rerank", [hit.rerank_score for hit in result.hits]),
        )
        if any(value is not None for value in values)
    ]
    for title, _ in scores:
        table.add_column(title, justify="right", no_wrap=True)
    several = len({hit.index for hit in result.hits}) > 1
    if several:
        table.add_column("index", overflow="fold")
    fields = {share.field for hit in result.hits for share in hit.why if share.retriever == "lexical"}
    routed = len({(hit.index, hit.id) for hit in result.hits}) < len(result.hits)
    if routed:
        table.add_column("routing", overflow="fold")
    table.add_column("document", ratio=1)
    for row, hit in enumerate(result.hits):
        cells = ["" if values[row] is None else f"{values[row]:.3f}" for _, values in scores]
        places = [escape(hit.index)] if several else []
        places += [escape(hit.routing or "")] if routed else []
        table.add_row(str(hit.rank), *cells, *places, _document(hit, first, named=len(fields) > 1))
    return table


def _document(hit: SearchHit, first: Sequence[str] = (), *, named: bool = False) -> str:
    """Return a hit's id, texts and terms; `named`: words with the fields that they were found in."""
    from rich.markup import escape

    names = dict.fromkeys([*(name for name in first if name in hit.source), *hit.source])
    texts = [value for name in names if isinstance(value := hit.source[name], str) and value.strip()]
    lines = [f"[bold]{escape(hit.id)}[/]  {escape(_shortened(' '.join(texts)))}"]
    if hit.passage is not None:
        lines.append(f"[dim]from character {hit.passage.start:,}:[/] {escape(_shortened(hit.passage.text))}")
    for retriever, colour in (("lexical", "cyan"), ("sparse", "green")):
        shares = [share for share in hit.why if share.retriever == retriever]
        if shares:
            terms = " · ".join(f"{escape(_term(share, named))} {share.value:.2f}" for share in shares[:SHOWN_TERMS])
            more = f" · and {len(shares) - SHOWN_TERMS} more" if len(shares) > SHOWN_TERMS else ""
            lines.append(f"[dim]{retriever}:[/] [{colour}]{terms}[/]{more}")
    return "\n".join(lines)


def _term(share: Contribution, named: bool) -> str:
    return f"{share.field}:{share.term}" if named and share.field else share.term


def _shortened(text: str) -> str:
    from sidecar.search.text import well_formed

    whole = " ".join(well_formed(text).split())
    return whole if len(whole) <= SHOWN_CHARACTERS else whole[: SHOWN_CHARACTERS - 1] + "…"
