"""Commands that prepare a cluster's index for the sidecar, and that take it back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from sidecar.cli.connections import ClusterAddress, SidecarAddress, with_addresses
from sidecar.cli.options import DryRunOption, LargestWeightOption, ServedModelOption, one_name
from sidecar.cli.output import print_json, say
from sidecar.cli.passage_options import (
    PassageLimitOption,
    PassagesOption,
    PassageStrideOption,
    PassageWordsOption,
    passage_rule,
)

if TYPE_CHECKING:
    from sidecar.cluster import SetupPlan, TeardownPlan
    from sidecar.cluster.requests import Request

__all__ = ["print_requests", "register"]

SECRET = "***"


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.command("setup")(setup)
    app.command("teardown")(teardown)


@with_addresses
def setup(
    index: Annotated[str, typer.Option("--index", callback=one_name, help="Index to create, or to add the fields to.")],
    cluster: ClusterAddress,
    encoder: SidecarAddress,
    model: ServedModelOption = None,
    source_field: Annotated[
        list[str] | None, typer.Option(help="Field whose text is encoded; several times. Default: title, text.")
    ] = None,
    lexical_field: Annotated[
        str | None, typer.Option(help="Field that words are searched in. A new index gets `content`.")
    ] = None,
    vector_field: Annotated[
        str | None, typer.Option(help="Field of the vectors. Default: splade; with --passages splade_passages.")
    ] = None,
    hash_field: Annotated[str, typer.Option(help="Field of the hash of the encoded text.")] = "splade_hash",
    shards: Annotated[int | None, typer.Option(min=1, help="Shards of a new index.")] = None,
    dialect: Annotated[
        str | None, typer.Option(help="Kind of field and query; default: the index's own, or what fits the cluster.")
    ] = None,
    template: Annotated[
        str | None, typer.Option(help="Also make a template: indices of this pattern get the fields, e.g. 'news-*'.")
    ] = None,
    connector: Annotated[
        str | None,
        typer.Option(help="The sidecar's HTTP address as the cluster sees it: ml-commons encodes through it."),
    ] = None,
    connector_token: Annotated[
        str | None, typer.Option(envvar="SIDECAR_CONNECTOR_TOKEN", help="Bearer token that the connector sends.")
    ] = None,
    largest_weight: LargestWeightOption = None,
    passages: PassagesOption = False,
    passage_words: PassageWordsOption = None,
    passage_stride: PassageStrideOption = None,
    passage_limit: PassageLimitOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Give an index the fields for sparse vectors, and the record of the model that fills them."""
    from sidecar.cluster import ConnectorSpec, IndexSpec, pick_encoder, plan_setup
    from sidecar.cluster.spec import PASSAGE_FIELD, VECTOR_FIELD

    rule = passage_rule(passages, passage_words, passage_stride, passage_limit)

    async def run() -> SetupPlan:
        async with encoder.client() as client:
            chosen = pick_encoder(await client.models(), model)
        spec = IndexSpec(
            index,
            chosen,
            source_fields=tuple(source_field or ("title", "text")),
            lexical_field=lexical_field,
            vector_field=vector_field or (VECTOR_FIELD if rule is None else PASSAGE_FIELD),
            hash_field=hash_field,
            settings={} if shards is None else {"number_of_shards": shards},
            dialect=dialect,
            template=template,
            connector=None if connector is None else ConnectorSpec(connector, connector_token),
            largest_weight=largest_weight,
            passages=rule,
        )
        async with await cluster.connect() as connected:
            plan = await plan_setup(connected, spec)
            if not dry_run:
                await plan.apply(connected)
            return plan

    plan = asyncio.run(run())
    for reason in plan.reasons:
        say(reason)
    if dry_run:
        print_requests(plan.requests)
    if not plan.requests:
        say(f"{plan.index} is set up for {plan.meta.bundle} already: nothing to do.")
    elif not dry_run:
        done = "created" if plan.creates else "extended"
        say(f"{plan.index} {done} for {plan.meta.bundle} ({plan.meta.fingerprint[:16]}).")


@with_addresses
def teardown(
    index: Annotated[
        str, typer.Option("--index", callback=one_name, help="Index that setup made, or added the fields to.")
    ],
    cluster: ClusterAddress,
    delete_documents: Annotated[
        bool, typer.Option("--delete-documents", help="Delete an index that setup made, with what is in it.")
    ] = False,
    vectors: Annotated[
        bool, typer.Option("--vectors", help="Take vectors and hashes out of the documents of an index that existed.")
    ] = False,
    dry_run: DryRunOption = False,
) -> None:
    """Undo what setup did to the cluster, and nothing else."""
    from sidecar.cli.progress import removal_progress
    from sidecar.cli.running import until_stopped
    from sidecar.cluster import plan_teardown

    async def run() -> TeardownPlan:
        async with await cluster.connect() as connected:
            plan = await plan_teardown(connected, index, delete_documents=delete_documents, vectors=vectors)
            if not dry_run:
                stop = threading.Event()
                with removal_progress(Console(stderr=True)) as show:
                    await until_stopped(plan.apply(connected, progress=show, stopped=stop.is_set), stop.set)
            return plan

    plan = asyncio.run(run())
    if dry_run:
        print_requests(plan.shown)
        if plan.refusal is not None:
            say(f"Without --dry-run this is refused. {plan.refusal}")
    else:
        say(f"What setup did for {plan.index} is undone.")
    for line in plan.left:
        say(line)


def print_requests(requests: Sequence[Request]) -> None:
    """Print requests that are not sent, without their credentials."""
    for request in requests:
        typer.echo(f"{request.method} {request.path}")
        if request.body is not None:
            body = dict(request.body)
            if "credential" in body:
                body["credential"] = {"token": SECRET}
            print_json(body)
