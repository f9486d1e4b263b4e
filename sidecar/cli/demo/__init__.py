"""`sidecar demo`: everything on this machine, on real documents, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add `demo` to `app`."""
    app.command("demo")(demo)


def demo(
    question: Annotated[
        list[str] | None, typer.Argument(help="Questions to ask; default: a few prepared ones.")
    ] = None,
    modules: Annotated[
        str, typer.Option("--modules", help="Only these modules and packages, like argparse,json,http: sooner done.")
    ] = "",
    json_: Annotated[Path | None, typer.Option("--json", help="File for everything that was shown, as JSON.")] = None,
    size: Annotated[int, typer.Option("--size", min=1, max=20, help="Places shown per ranking.")] = 5,
    keep: Annotated[bool, typer.Option("--keep", help="Leave cluster and sidecar running until Ctrl-C.")] = False,
) -> None:
    """Start a local OpenSearch and the sidecar, index Python's docstrings, and compare BM25, sparse and rerank."""
    import asyncio
    import signal
    import time
    from contextlib import ExitStack

    import orjson
    from rich.console import Console

    from sidecar.cli.demo.questions import QUESTIONS
    from sidecar.cli.demo.session import INDEX, read_corpus, run_session, steps
    from sidecar.cli.output import check_writable
    from sidecar.engine.local import LocalNode
    from sidecar.search.text import check_query
    from sidecar.server.process import SidecarProcess
    from sidecar.signals import StopRequests, stop_signals

    # Told before anything is started, which takes its time.
    for text in question or ():
        check_query(text)
    if json_ is not None:
        check_writable(json_)
    started = time.monotonic()
    console = Console()
    with ExitStack() as running:
        with steps(console) as progress:
            documents = read_corpus(progress, [name.strip() for name in modules.split(",") if name.strip()])
            task = progress.add_task("start OpenSearch on this machine", total=None, state="")
            node = running.enter_context(
                LocalNode(port=0, progress=lambda done, total: progress.update(task, state=f"jars {done}/{total}"))
            )
            progress.update(task, total=1, completed=1, state=node.url)
            warming = progress.add_task("start the sidecar and warm it up", total=None, state="")
            sidecar = running.enter_context(SidecarProcess())
            progress.update(warming, total=1, completed=1, state=sidecar.target)
        report = asyncio.run(
            run_session(console, node.url, sidecar.target, documents, question or QUESTIONS, size, started)
        )
        if json_ is not None:
            json_.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
        console.print(f"\n{report.total_seconds:.0f} s in all.", highlight=False)
        if keep:
            console.print(
                f"Still running until Ctrl-C: index {INDEX} at {node.url}, sidecar at {sidecar.target} (gRPC) and "
                f"{sidecar.http_url} (HTTP). In another terminal:\n"
                f"  sidecar search --engine {node.url} --sidecar {sidecar.target} --index {INDEX} "
                '--profile hybrid+rerank "your question"',
                highlight=False,
                soft_wrap=True,
            )
            StopRequests().at_once(signal.sigwait(stop_signals()))
