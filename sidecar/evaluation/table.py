"""An evaluation for people."""

from __future__ import annotations

from rich.box import SIMPLE
from rich.table import Table

from sidecar.evaluation.report import EvaluationReport, ProfileReport

__all__ = ["effectiveness_table", "index_table", "latency_table"]

SIGNIFICANT = 0.05


def effectiveness_table(report: EvaluationReport, measure: str) -> Table:
    """One row per profile, one column per collection, their mean at the end; the best of each column is bold.

    An asterisk: differs from `lexical` by the paired randomisation test, p < .05 (nDCG@10 only).
    """
    table = _table(measure)
    table.add_column("profile")
    for collection in report.collections:
        table.add_column(collection.collection, justify="right")
    table.add_column("mean", justify="right")
    best = [max(found.means[measure] for found in collection.profiles) for collection in report.collections]
    best_mean = max(report.mean(profile, measure) for profile in report.profiles)
    for number, profile in enumerate(report.profiles):
        cells = [
            _cell(collection.profiles[number], measure, best[column])
            for column, collection in enumerate(report.collections)
        ]
        mean = report.mean(profile, measure)
        table.add_row(profile, *cells, f"[bold]{mean:.4f}[/]" if mean == best_mean else f"{mean:.4f}")
    if measure == "nDCG@10" and "lexical" in report.profiles:
        table.caption = "*: differs from lexical, paired randomisation test, p < .05"
    return table


def _cell(found: ProfileReport, measure: str, best: float) -> str:
    value = found.means[measure]
    star = ""
    if measure == "nDCG@10" and found.against_lexical is not None:
        star = "*" if found.against_lexical.p_value < SIGNIFICANT else " "
    text = f"{value:.4f}{star}"
    return f"[bold]{text}[/]" if value == best else text


def latency_table(report: EvaluationReport) -> Table:
    """What a caller waits, in milliseconds, for the first 10 hits, one search at a time."""
    table = _table("latency, ms: p50 / p99")
    table.add_column("profile")
    for collection in report.collections:
        table.add_column(collection.collection, justify="right", overflow="fold")
    for number, profile in enumerate(report.profiles):
        cells = [collection.profiles[number].latency_ms for collection in report.collections]
        table.add_row(profile, *(f"{_short(one.p50)} / {_short(one.p99)}" for one in cells))
    return table


def index_table(report: EvaluationReport) -> Table:
    """What each collection's vectors cost."""
    table = _table("index")
    per_text = ("vectors/doc", "terms/doc", "terms/query")
    for name in ("collection", "docs", "queries", "MB", *per_text, "FLOPS", "docs/s", "cut"):
        table.add_column(name, justify="left" if name == "collection" else "right", overflow="fold")
    for collection in report.collections:
        vectors = collection.vectors
        table.add_row(
            collection.collection,
            f"{collection.documents:,}",
            f"{collection.queries:,}",
            f"{collection.index_bytes / 1e6:.1f}",
            f"{vectors.mean_document_vectors:.1f}",
            f"{vectors.mean_document_terms:.0f}",
            f"{vectors.mean_query_terms:.1f}",
            f"{vectors.flops:.2f}",
            f"{collection.documents_per_second:.0f}",
            f"{collection.documents_truncated:,}",
        )
    table.caption = "cut: documents longer than the encoder reads"
    return table


def _short(milliseconds: float) -> str:
    return f"{milliseconds:.0f}" if milliseconds >= 100 else f"{milliseconds:.1f}"


def _table(title: str) -> Table:
    return Table(
        title=title, title_justify="left", caption_justify="left", box=SIMPLE, title_style="bold", padding=(0, 1)
    )
