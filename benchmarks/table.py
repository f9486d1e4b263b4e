"""The report for people: a table on the terminal, and a chart."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from benchmarks.results import Report, Result

__all__ = ["draw_chart", "reasons", "results_table"]

MEANING_FITS = 110
"""Columns of a terminal from which on a row's meaning has room beside its value."""

HELD, MISSED, PLAIN = "#2a7f62", "#b5482e", "#8a8f98"


def results_table(report: Report, width: int) -> Table:
    """Return all rows, with goal and spread, for a terminal of `width` columns: in few, meanings have no room."""
    wide = width >= MEANING_FITS
    table = Table(title=_machine(report), title_justify="left")
    for heading, side in (("row", "left"), ("value", "right"), ("±", "right"), ("unit", "left"), ("goal", "left")):
        table.add_column(heading, justify="right" if side == "right" else "left", no_wrap=True)
    if wide:
        table.add_column("meaning")
    else:
        table.caption = "what each row means: sidecar bench --list"
    for result in report.results:
        cells = [result.name, _shown(result.value), _shown(result.spread), result.unit, _judged(result)]
        table.add_row(*cells, *([result.meaning] if wide else []))
    return table


def reasons(report: Report) -> tuple[str, ...]:
    """Return one line for each row that has no value, with why."""
    return tuple(f"{result.name}: {result.note}" for result in report.results if result.value is None)


def draw_chart(report: Report, path: Path) -> None:
    """Draw every ratio with a goal as a bar, relative to its goal: right of the line it holds. SVG by matplotlib."""
    import matplotlib as mpl

    mpl.use("svg")
    # Without a salt of its own every drawing gets other ids.
    mpl.rcParams["svg.hashsalt"] = "splade-sidecar"
    from matplotlib import pyplot

    judged = [one for one in report.results if one.goal is not None and one.value is not None]
    figure, axes = pyplot.subplots(figsize=(9, 0.42 * len(judged) + 1.4), layout="constrained")
    names = [f"{one.name}   ({one.goal} {one.unit})" for one in judged]
    margins = [_margin(one) for one in judged]
    colours = [HELD if one.holds else MISSED for one in judged]
    bars = axes.barh(names, margins, color=colours, height=0.62)
    axes.bar_label(bars, [f" {_labelled(one)}" for one in judged], fontsize=8)
    axes.axvline(1.0, color=PLAIN, linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.margins(x=0.25)
    axes.invert_yaxis()
    axes.tick_params(labelsize=8)
    axes.set_xlabel("times as good as the goal", fontsize=8)
    versions = report.versions.get("onnxruntime", "?")
    axes.set_title(
        f"{_machine(report)}, onnxruntime {versions}, {report.created[:10]}",
        fontsize=9,
        loc="left",
    )
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without a date in the file, a chart of the same numbers is the same file.
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _machine(report: Report) -> str:
    return f"{report.machine['processor']}, {report.machine['cores']} cores"


def _margin(result: Result) -> float:
    """How many times as good as its goal a value is: above 1 it holds, whichever side is better."""
    assert result.value is not None
    assert result.goal is not None
    bound, _, number = result.goal.partition(" ")
    least = 1e-3
    value, goal = max(result.value, least), max(float(number), least)
    return value / goal if bound == ">=" else goal / value


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _labelled(result: Result) -> str:
    """The value, and the spread in two digits where there was more than one round."""
    return _shown(result.value) if not result.spread else f"{_shown(result.value)} ± {result.spread:.2g}"


def _judged(result: Result) -> str:
    if result.goal is None:
        return ""
    mark = {True: "[green]holds[/]", False: "[red]missed[/]", None: "[dim]?[/]"}[result.holds]
    return f"{result.goal}  {mark}"
