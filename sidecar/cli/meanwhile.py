"""What a command starts for as long as it measures, and how it ends when it is told to."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TypeVar

import typer
from rich.console import Console

from sidecar.cli.connections import LOCAL, ClusterAddress, SidecarAddress

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
    """Do the work; SIGTERM cancels it, as Ctrl-C does, so that its index is deleted, and raises typer.Exit."""
    task, loop = asyncio.ensure_future(work), asyncio.get_running_loop()
    terminated = False

    def terminate() -> None:
        nonlocal terminated
        terminated = True
        # A second signal ends the process on the spot.
        loop.remove_signal_handler(signal.SIGTERM)
        task.cancel()

    loop.add_signal_handler(signal.SIGTERM, terminate)
    try:
        return await task
    except asyncio.CancelledError:
        if terminated:
            raise typer.Exit(128 + signal.SIGTERM) from None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


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
