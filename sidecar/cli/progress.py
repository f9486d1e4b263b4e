"""Progress bars of the commands; nothing is drawn where standard error is no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

__all__ = ["index_progress", "measuring_progress", "node_progress", "reconcile_progress", "removal_progress"]


@contextmanager
def node_progress(console: Console) -> Iterator[Callable[[int, int], None]]:
    """Show how far the local OpenSearch is: jars that are there, then starting."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("fetching OpenSearch", total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            if done == total:
                bar.update(task, description="starting OpenSearch")

        yield show


@contextmanager
def index_progress(console: Console, size: int | None) -> Iterator[Callable[[int, str], None]]:
    """Show how far indexing is, in bytes read of `size` (None: unknown), with a line of counts."""
    with Progress(
        SpinnerColumn(),
        TextColumn("indexing"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[counts]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("indexing", total=size, counts="")

        def show(position: int, counts: str) -> None:
            bar.update(task, completed=position, counts=counts)

        yield show


class _RateColumn(ProgressColumn):
    """Documents per second, as the bar itself measures them."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.0f} documents/s")


@contextmanager
def reconcile_progress(console: Console) -> Iterator[Callable[[str, int, int, str], None]]:
    """Show how far reconciling is: what is done, documents read, of how many, and a line of counts."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[counts]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("connecting", total=None, counts="")

        def show(doing: str, position: int, total: int, counts: str) -> None:
            bar.update(task, description=doing, completed=position, total=total, counts=counts)

        yield show


@contextmanager
def measuring_progress(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """Show what is measured, how much of it is done, and of how much."""
    with Progress(
        SpinnerColumn(),
        # It has names of profiles and collections, in which brackets are brackets.
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("measuring", total=None)

        doing = ""

        def say(line: str, done: int, total: int) -> None:
            nonlocal doing
            if line != doing:
                # What is left goes by the speed of this step alone: reranking is slower than what came before it.
                doing = line
                bar.reset(task, total=total)
            bar.update(task, description=line, completed=done, total=total)

        yield say


@contextmanager
def removal_progress(console: Console) -> Iterator[Callable[[int, int], None]]:
    """Show of how many documents vectors were taken out, and of how many in all; nothing before the first."""
    with Progress(
        SpinnerColumn(),
        TextColumn("taking vectors out"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("", total=None, visible=False)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=max(done, total), visible=True)

        yield show
