"""`sidecar migrate start`: the new model's fields, and the first filling of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from sidecar.cli.connections import ClusterAddress, SidecarAddress, with_addresses
from sidecar.cli.options import (
    LargestWeightOption,
    LongTextsOption,
    MigratedIndexOption,
    PatienceOption,
    RateOption,
    SlicesOption,
    SummaryJsonOption,
    UnencodedLettersOption,
    one_name,
)
from sidecar.cli.output import letters_path, say
from sidecar.cli.running import Tools, equipped
from sidecar.domain import WHOLE_TEXT, Windows
from sidecar.errors import InvalidInput

if TYPE_CHECKING:
    from sidecar.cluster.migrate import StartPlan
    from sidecar.cluster.reconcile import ReconcileOptions
    from sidecar.cluster.second_index import SecondIndexPlan

__all__ = ["start"]


@with_addresses
def start(
    index: MigratedIndexOption,
    model: Annotated[str, typer.Option("--model", help="Sparse encoder at the sidecar that is rolled out.")],
    cluster: ClusterAddress,
    encoder: SidecarAddress,
    vector_field: Annotated[
        str | None, typer.Option(help="Field of the new vectors; default: splade_ and the fingerprint's beginning.")
    ] = None,
    hash_field: Annotated[str | None, typer.Option(help="Field of the new hashes; default: by --vector-field.")] = None,
    into: Annotated[
        str | None,
        typer.Option(
            callback=one_name,
            help="A new index for the model, instead of fields in the same one; --index is an alias then.",
        ),
    ] = None,
    fill: Annotated[
        bool, typer.Option(help="Encode every document now; else a `reconcile --follow` that runs does it.")
    ] = True,
    rate: RateOption = None,
    slices: SlicesOption = 1,
    long_texts: LongTextsOption = WHOLE_TEXT.policy,
    patience: PatienceOption = 300.0,
    dead_letters: UnencodedLettersOption = None,
    largest_weight: LargestWeightOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the request and send nothing.")] = False,
    as_json: SummaryJsonOption = False,
) -> None:
    """Add fields for another model, or an index, and fill them. Safe to kill and repeat; searches notice nothing.

    Exit code 3: some documents are in the dead letters or left for another run.
    """
    from sidecar.cluster import pick_encoder
    from sidecar.cluster.migrate import Candidate, plan_start
    from sidecar.cluster.reconcile import Limits, ReconcileOptions
    from sidecar.cluster.second_index import plan_second_index

    letters = dead_letters or letters_path(index)
    if into is not None and (vector_field, hash_field) != (None, None):
        raise InvalidInput("With --into, vectors lie in the same fields as before.", field="vector_field")
    options = ReconcileOptions(slices=slices, patience=patience, limits=Limits(rate=rate), windows=Windows(long_texts))

    async def opened() -> StartPlan | SecondIndexPlan:
        async with encoder.client() as client:
            chosen = pick_encoder(await client.models(), model)
        if into is not None:
            async with await cluster.connect() as connected:
                second = await plan_second_index(connected, index, into, chosen, largest_weight=largest_weight)
                if not dry_run:
                    await second.apply(connected)
                return second
        candidate = Candidate(chosen, vector_field, hash_field, largest_weight)
        async with await cluster.connect() as connected:
            plan = await plan_start(connected, index, candidate)
            if not dry_run:
                await plan.apply(connected)
            return plan

    async def filled() -> None:
        fill_it = _fill_fields if into is None else _fill_second_index
        async with equipped(letters, cluster, encoder) as tools:
            await fill_it(tools, index, options, as_json=as_json)

    plan = asyncio.run(opened())
    if dry_run:
        from sidecar.cli.setup import print_requests

        print_requests(plan.requests)
        return
    for note in plan.notes:
        say(note)
    say(plan.summary)
    if fill:
        asyncio.run(filled())


async def _fill_fields(tools: Tools, index: str, options: ReconcileOptions, *, as_json: bool) -> None:
    from sidecar.cluster.migrate import count_frequencies, filling

    run = await filling(tools.engine, tools.client, index, tools.letters, options, progress=tools.progress)
    async with tools.carrying_out(run, as_json=as_json):
        await count_frequencies(tools.engine, tools.client, index)


async def _fill_second_index(tools: Tools, index: str, options: ReconcileOptions, *, as_json: bool) -> None:
    from sidecar.cluster.frequencies import refresh_where_useful
    from sidecar.cluster.second_index import CopyRun, clear_up

    pair = await clear_up(tools.engine, index)
    run = CopyRun(tools.engine, tools.client, index, tools.letters, options, progress=tools.progress)
    async with tools.carrying_out(run, as_json=as_json):
        await refresh_where_useful(tools.engine, tools.client, pair.other.name)
