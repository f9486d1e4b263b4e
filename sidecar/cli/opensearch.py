"""Commands of the group `opensearch`."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from sidecar.signals import StopRequests, stop_signals

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    group = typer.Typer(help="A real OpenSearch on this machine, without Docker and without an installed Java.")
    group.callback()(_group)
    group.command("up")(up)
    app.add_typer(group, name="opensearch")


def _group() -> None:
    """Keep `up` a command of its own, also while it is the only one."""


def up(
    nodes: Annotated[int, typer.Option(min=1, max=9, help="How many nodes; they form one cluster in one process.")] = 1,
    port: Annotated[
        int, typer.Option(help="Port of the first node, 9200 to 9299; 0 takes the first that is free.")
    ] = 9200,
    path: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder that keeps the data; without it they go at the end.")
    ] = None,
    heap: Annotated[str, typer.Option(help="Java heap, like 512m or 2g; all nodes share it.")] = "1g",
) -> None:
    """Run a local OpenSearch in the foreground until Ctrl-C; the first time it is downloaded."""
    from sidecar.cli.progress import node_progress
    from sidecar.engine.local import LocalNode

    console = Console(stderr=True)
    stop, requests = threading.Event(), StopRequests()

    def on_signal(number: int, frame: FrameType | None) -> None:
        del frame
        requests.at_once(number)
        stop.set()

    with node_progress(console) as progress:
        node = LocalNode(nodes=nodes, port=port, path=path, heap=heap, progress=progress).start()
    with node:
        before = {number: signal.signal(number, on_signal) for number in stop_signals()}
        try:
            for url in node.urls:
                typer.echo(url)
            console.print("OpenSearch is up; Ctrl-C stops it.", highlight=False)
            while not stop.wait(0.5):
                node.require_running()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
