"""`sidecar frequencies`: count an index's document frequencies, for query weights adapted to the collection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from sidecar.cli.connections import ClusterAddress, SidecarAddress, with_addresses
from sidecar.cli.options import JsonOption, one_name
from sidecar.cli.output import print_json_line, say

if TYPE_CHECKING:
    from sidecar.engine import CollectionFrequencies

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add this module's command to `app`."""
    app.command("frequencies")(frequencies)


@with_addresses
def frequencies(
    index: Annotated[str, typer.Option("--index", callback=one_name, help="Index that was set up.")],
    sample: Annotated[int, typer.Option(min=1, max=10_000, help="Documents to count on, drawn at random.")] = 10_000,
    *,
    cluster: ClusterAddress,
    encoder: SidecarAddress,
    model: Annotated[str | None, typer.Option("--model", help="Default: the encoder the index was set up for.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Count in how many of an index's documents each term occurs, and keep it in the index's _meta.

    Searches whose profile sets collection_idf blend it into their query weights. Count again when an index has grown
    or changed a good deal; running searches take the new table within half a minute.
    """
    from sidecar.cluster.frequencies import refresh_frequencies

    async def run() -> CollectionFrequencies:
        async with await cluster.connect() as connected, encoder.client() as client:
            return await refresh_frequencies(connected, client, index, model=model, sample=sample)

    table = asyncio.run(run())
    if as_json:
        figures = {
            "index": index,
            "documents": table.documents,
            "sampled": table.sampled,
            "terms": len(table.counts()),
            "refreshed": table.refreshed,
        }
        print_json_line(figures)
        return
    say(f"{index}: {len(table.counts()):,} terms counted on {table.sampled:,} of {table.documents:,} documents")
