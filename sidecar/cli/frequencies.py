"""`sidecar frequencies`: count an index's document frequencies, for query weights adapted to the collection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from sidecar.cli.connections import (
    DEFAULT_ENGINE,
    DEFAULT_SIDECAR,
    CaOption,
    ClusterAddress,
    EngineOption,
    InsecureOption,
    PasswordOption,
    SidecarAddress,
    SidecarCaOption,
    SidecarOption,
    TokenOption,
    UserOption,
)

if TYPE_CHECKING:
    from sidecar.engine import CollectionFrequencies

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add this module's command to `app`."""
    app.command("frequencies")(frequencies)


def frequencies(
    index: Annotated[str, typer.Option("--index", help="Index that was set up.")],
    sample: Annotated[int, typer.Option(min=1, max=10_000, help="Documents to count on, drawn at random.")] = 10_000,
    engine: EngineOption = DEFAULT_ENGINE,
    sidecar: SidecarOption = DEFAULT_SIDECAR,
    model: Annotated[str | None, typer.Option("--model", help="Default: the encoder the index was set up for.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    user: UserOption = None,
    password: PasswordOption = None,
    ca: CaOption = None,
    insecure: InsecureOption = False,
    token: TokenOption = None,
    sidecar_ca: SidecarCaOption = None,
) -> None:
    """Count in how many of an index's documents each term occurs, and keep it in the index's _meta.

    Searches whose profile sets collection_idf blend it into their query weights. Count again when an index has grown
    or changed a good deal; running searches take the new table within half a minute.
    """
    import orjson

    from sidecar.cluster.frequencies import refresh_frequencies

    cluster = ClusterAddress(engine, user, password, ca, insecure)
    encoder = SidecarAddress(sidecar, token, sidecar_ca)

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
        typer.echo(orjson.dumps(figures).decode())
        return
    Console(stderr=True).print(
        f"{index}: {len(table.counts()):,} terms counted on {table.sampled:,} of {table.documents:,} documents",
        highlight=False,
    )
