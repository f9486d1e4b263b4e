"""`sidecar migrate start`: the new model's fields, and the first filling of them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
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
from sidecar.domain import WindowPolicy, Windows
from sidecar.errors import InvalidInput

if TYPE_CHECKING:
    from sidecar.cluster.migrate import StartPlan
    from sidecar.cluster.reconcile import ReconcileOptions, ReconcileRun, ReconcileSummary
    from sidecar.cluster.second_index import SecondIndexPlan

__all__ = ["start"]


def start(
    index: Annotated[str, typer.Option("--index", help="The index; an alias of exactly one index will do.")],
    model: Annotated[str, typer.Option("--model", help="Sparse encoder at the sidecar that is rolled out.")],
    engine: EngineOption = DEFAULT_ENGINE,
    sidecar: SidecarOption = DEFAULT_SIDECAR,
    vector_field: Annotated[
        str | None, typer.Option(help="Field of the new vectors; default: splade_ and the fingerprint's beginning.")
    ] = None,
    hash_field: Annotated[str | None, typer.Option(help="Field of the new hashes; default: by --vector-field.")] = None,
    into: Annotated[
        str | None,
        typer.Option(help="A new index for the model, instead of fields in the same one; --index is an alias then."),
    ] = None,
    fill: Annotated[
        bool, typer.Option(help="Encode every document now; else a `reconcile --follow` that runs does it.")
    ] = True,
    rate: Annotated[float | None, typer.Option(help="Documents written per second, at most.")] = None,
    slices: Annotated[int, typer.Option(help="Parts in which the index is read side by side.")] = 1,
    long_texts: Annotated[
        WindowPolicy, typer.Option(help="Texts beyond the model's length: read the head, all in windows, or refuse.")
    ] = WindowPolicy.TRUNCATE,
    patience: Annotated[float, typer.Option(help="Seconds that cluster or sidecar may be away.")] = 300.0,
    dead_letters: Annotated[
        Path | None, typer.Option(help="File for what can't be encoded. Default: dead-letters-INDEX-TIME.jsonl")
    ] = None,
    largest_weight: Annotated[
        float | None, typer.Option(help="The encoder's largest weight, for the quantisation of the dialect seismic.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the request and send nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    user: UserOption = None,
    password: PasswordOption = None,
    ca: CaOption = None,
    insecure: InsecureOption = False,
    token: TokenOption = None,
    sidecar_ca: SidecarCaOption = None,
) -> None:
    """Add fields for another model, or an index, and fill them. Safe to kill and repeat; searches notice nothing.

    Exit code 3: some documents are in the dead letters or left for another run.
    """
    from sidecar.cluster import pick_encoder
    from sidecar.cluster.migrate import Candidate, plan_start
    from sidecar.cluster.reconcile import Limits, ReconcileOptions
    from sidecar.cluster.second_index import plan_second_index

    cluster = ClusterAddress(engine, user, password, ca, insecure)
    encoder = SidecarAddress(sidecar, token, sidecar_ca)
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    letters = dead_letters or Path(f"dead-letters-{index.replace('/', '_')}-{moment}.jsonl")
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

    plan = asyncio.run(opened())
    if dry_run:
        from sidecar.cli.setup import print_requests

        print_requests(plan.requests)
        return
    for note in plan.notes:
        _say(note)
    _say(plan.summary)
    if fill:
        asyncio.run(_filled(index, options, letters, cluster, encoder, as_json, copied=into is not None))


async def _filled(
    index: str,
    options: ReconcileOptions,
    letters: Path,
    cluster: ClusterAddress,
    encoder: SidecarAddress,
    as_json: bool,
    *,
    copied: bool,
) -> None:
    from sidecar.cli.progress import reconcile_progress
    from sidecar.cli.reconcile import print_run, until_stopped
    from sidecar.cluster import DeadLetters
    from sidecar.cluster.frequencies import refresh_where_useful
    from sidecar.cluster.migrate import count_frequencies, filling
    from sidecar.cluster.second_index import CopyRun, clear_up

    console = Console(stderr=True)
    with DeadLetters(letters) as dead, reconcile_progress(console) as show:
        async with await cluster.connect() as engine, encoder.client() as client:

            def tell(now: ReconcileSummary, doing: str, total: int) -> None:
                show(doing, now.scanned, total, f"{now.written} written, {now.failed} failed")

            run: CopyRun | ReconcileRun
            if copied:
                pair = await clear_up(engine, index)
                run = CopyRun(engine, client, index, dead, options, progress=tell)
            else:
                run = await filling(engine, client, index, dead, options, progress=tell)
            try:
                await until_stopped(run.run(), run)
                if copied:
                    await refresh_where_useful(engine, client, pair.other.name)
                else:
                    await count_frequencies(engine, client, index)
            finally:
                print_run(run, as_json, console)


def _say(sentence: str) -> None:
    Console(stderr=True).print(sentence, highlight=False, soft_wrap=True)
