"""What a command starts for as long as it measures, and how it ends when it is told to."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TypeVar

import typer
from rich.console import Console

from sidecar.cli.connections import LOCAL, ClusterAddress, SidecarAddress
from sidecar.signals import StopRequests, stop_signals

__all__ = ["started", "until_terminated"]

Done = TypeVar("Done")


@contextmanager
def started(
    cluster: ClusterAddress, encoder: SidecarAddress, models: Sequence[str], console: Console
) -> Iterator[tuple[ClusterAddress, SidecarAddress]]:
    """Yield where cluster and sidecar are; those that are LOCAL are started, and stopped in the end.

    `models` are the bundles that a local sidecar serves; none: the starters.
    """
    with ExitStack() as resources:
        if cluster.url == LOCAL:
            cluster = replace(cluster, url=_engine(resources, console))
        if encoder.target == LOCAL:
            # A process of this machine's own: no certificate is asked for.
            encoder = SidecarAddress(_sidecar(resources, console, models), encoder.token)
        yield cluster, encoder


async def until_terminated(work: Coroutine[object, object, Done]) -> Done:
    """Do the work; SIGTERM and SIGHUP cancel it, as Ctrl-C does, so that its index is deleted, and raise typer.Exit.

    A second SIGTERM ends the process on the spot.
    """
    task, loop = asyncio.ensure_future(work), asyncio.get_running_loop()
    # asyncio itself cancels by SIGINT.
    requests, signals = StopRequests(), [number for number in stop_signals() if number != signal.SIGINT]
    ended_by = 0

    def terminate(number: signal.Signals) -> None:
        nonlocal ended_by
        if not requests.asked:
            ended_by = number
            task.cancel()
        if requests.at_once(number):
            os._exit(128 + number)

    for number in signals:
        loop.add_signal_handler(number, terminate, number)
    try:
        return await task
    except asyncio.CancelledError:
        if ended_by:
            raise typer.Exit(128 + ended_by) from None
        raise
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def _engine(resources: ExitStack, console: Console) -> str:
    from sidecar.cli.progress import node_progress
    from sidecar.engine.local import LocalNode

    with node_progress(console) as progress:
        node = LocalNode(port=0, progress=progress).start()
    return resources.enter_context(node).url


def _sidecar(resources: ExitStack, console: Console, models: Sequence[str]) -> str:
    from sidecar.server.process import SidecarProcess

    with console.status("starting the sidecar"):
        return resources.enter_context(SidecarProcess(models)).target
