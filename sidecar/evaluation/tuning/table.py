"""Tuning for people."""

from __future__ import annotations

from collections import Counter

from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from sidecar.evaluation.tuning.report import TuningReport
from sidecar.evaluation.tuning.settings import AxisValue

__all__ = ["curve_table", "gain_table", "setting_table"]


def gain_table(report: TuningReport) -> Table:
    """The start profile, what choosing is worth on queries that did not choose, and what it seems on those that did."""
    compared = report.against_start
    table = _table(f"{report.measure} on {report.measured_on}, {report.queries:,} queries")
    for name in ("", "mean", "gain", "error", "p", "wins/ties/losses"):
        table.add_column(name, justify="left" if not name else "right")
    table.add_row(escape(report.profile), f"{report.start_mean:.4f}")
    table.add_row(
        f"chosen by the other folds ({len(report.folds)})",
        f"{report.held_out_mean:.4f}",
        f"{compared.difference:+.4f}",
        f"{report.error:.4f}",
        f"{compared.p_value:.4f}",
        f"{compared.wins}/{compared.ties}/{compared.losses}",
    )
    gain = report.chosen_mean - report.start_mean
    table.add_row("chosen by all, on the same queries", f"{report.chosen_mean:.4f}", f"{gain:+.4f}")
    table.caption = "the last line flatters: those queries chose"
    return table


def setting_table(report: TuningReport) -> Table:
    """One row per axis: the start profile's value, the chosen one, and what the folds chose."""
    table = _table("values")
    for name in ("", "start", "chosen", "by folds"):
        table.add_column(name, overflow="fold")
    for axis, value in report.start.items():
        chosen = Counter(fold.setting[axis] for fold in report.folds)
        folds = ", ".join(f"{_shown(one)} × {count}" for one, count in chosen.most_common())
        table.add_row(axis, _shown(value), _shown(report.chosen[axis]), folds)
    return table


def curve_table(report: TuningReport) -> Table:
    """One row per value along an axis, all else as chosen; the chosen value is bold."""
    table = _table("around the chosen setting")
    for name in ("", "value", report.measure, "difference", "error"):
        table.add_column(name, justify="left" if not name else "right")
    for axis, points in report.curves.items():
        for number, point in enumerate(points):
            cells = [_shown(point.value), f"{point.mean:.4f}", f"{point.difference:+.4f}", f"{point.error:.4f}"]
            if point.value == report.chosen[axis]:
                cells = [f"[bold]{cell}[/]" for cell in cells]
            table.add_row("" if number else axis, *cells)
    table.caption = "on the queries that chose; error: a standard error of the difference, query by query"
    return table


def _shown(value: AxisValue) -> str:
    return escape(value) if isinstance(value, str) else f"{value:g}"


def _table(title: str) -> Table:
    table = Table(title=escape(title), title_justify="left", caption_justify="left", box=SIMPLE, title_style="bold")
    table.padding = (0, 1)
    return table
