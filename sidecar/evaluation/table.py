"""An evaluation for people."""

from __future__ import annotations

from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from sidecar.evaluation.conclusion import SIGNIFICANT
from sidecar.evaluation.losses import ProfileLosses
from sidecar.evaluation.measures import COMPARED
from sidecar.evaluation.report import EvaluationReport, ProfileReport

__all__ = ["comparison_table", "effectiveness_table", "index_table", "latency_table", "loss_table"]

SHOWN_CHARACTERS = 200


def effectiveness_table(report: EvaluationReport, measure: str) -> Table:
    """One row per profile, one column per collection, their mean at the end; the best of each column is bold.

    An asterisk: differs from the baseline, p < .05 after the correction (nDCG@10 only); see `comparison_table`.
    """
    table = _table(measure)
    table.add_column("profile")
    for collection in report.collections:
        table.add_column(escape(collection.collection), justify="right")
    table.add_column("mean", justify="right")
    best = [max(found.means[measure] for found in collection.profiles) for collection in report.collections]
    best_mean = max(report.mean(profile, measure) for profile in report.profiles)
    for number, profile in enumerate(report.profiles):
        cells = [
            _cell(collection.profiles[number], measure, best[column])
            for column, collection in enumerate(report.collections)
        ]
        mean = report.mean(profile, measure)
        table.add_row(escape(profile), *cells, f"[bold]{mean:.4f}[/]" if mean == best_mean else f"{mean:.4f}")
    if measure == COMPARED and _compared(report):
        table.caption = f"*: differs from {escape(str(report.baseline))}, p (Holm) < .05"
    return table


def comparison_table(report: EvaluationReport) -> Table | None:
    """One row per collection and profile: nDCG@10 against the baseline's; None where nothing is compared with it."""
    if not _compared(report):
        return None
    table = _table(f"{COMPARED} against {report.baseline}")
    table.add_column("collection", overflow="fold")
    table.add_column("profile", overflow="fold")
    for name in ("difference", "p", "p (Holm)", "+/=/-"):
        table.add_column(name, justify="right")
    for collection in report.collections:
        for found in collection.profiles:
            comparison = found.against_baseline
            if comparison is not None:
                table.add_row(
                    escape(collection.collection),
                    escape(found.profile),
                    f"{comparison.difference:+.4f}",
                    _p_value(comparison.p_value),
                    _p_value(comparison.p_corrected),
                    f"{comparison.wins}/{comparison.ties}/{comparison.losses}",
                )
    table.caption = (
        "p: paired randomisation test; p (Holm): corrected over a collection's profiles\n"
        "+/=/-: queries won, tied and lost"
    )
    return table


def loss_table(found: ProfileLosses, baseline: str) -> Table:
    """One row per query, the one that lost most first; a long query goes without its end."""
    table = _table(f"{found.collection}: what {found.profile} answers worse than {baseline}, {COMPARED}")
    for name in (baseline, found.profile, "change"):
        table.add_column(escape(name), justify="right")
    table.add_column("query", overflow="fold")
    table.add_column("", overflow="fold")
    for one in found.worst:
        text = " ".join(one.query.text.split())
        shown = text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
        values = (f"{one.before:.4f}", f"{one.after:.4f}", f"{one.change:+.4f}")
        table.add_row(*values, escape(one.query.id), escape(shown))
    table.caption = f"{len(found.worst):,} of {found.count:,} that lost something"
    return table


def _compared(report: EvaluationReport) -> bool:
    return any(found.against_baseline for collection in report.collections for found in collection.profiles)


def _p_value(value: float) -> str:
    # 20,000 rounds tell nothing below it apart.
    return f"{value:.4f}" if value >= 0.0001 else "< 0.0001"


def _cell(found: ProfileReport, measure: str, best: float) -> str:
    value = found.means[measure]
    star = ""
    if measure == COMPARED and found.against_baseline is not None:
        star = "*" if found.against_baseline.p_corrected < SIGNIFICANT else " "
    text = f"{value:.4f}{star}"
    return f"[bold]{text}[/]" if value == best else text


def latency_table(report: EvaluationReport) -> Table:
    """What a caller waits, in milliseconds, for the first 10 hits, one search at a time."""
    table = _table("latency, ms: p50/p99")
    table.add_column("profile")
    for collection in report.collections:
        table.add_column(escape(collection.collection), justify="right", overflow="fold")
    for number, profile in enumerate(report.profiles):
        cells = [collection.profiles[number].latency_ms for collection in report.collections]
        table.add_row(escape(profile), *(f"{_short(one.p50)}/{_short(one.p99)}" for one in cells))
    return table


def index_table(report: EvaluationReport) -> Table:
    """What each collection's vectors cost; what is not known of an index that existed before is blank."""
    table = _table("index")
    per_text = ("vectors\n/doc", "terms\n/doc", "terms\n/query")
    for name in ("collection", "docs", "queries", "MB", *per_text, "FLOPS", "docs\n/s", "cut"):
        table.add_column(name, justify="left" if name == "collection" else "right", overflow="fold")
    for collection in report.collections:
        vectors, size = collection.vectors, collection.index_bytes
        table.add_row(
            escape(collection.collection),
            f"{collection.documents:,}",
            f"{collection.queries:,}",
            _known(None if size is None else size / 1e6, ".1f"),
            _known(vectors.mean_document_vectors, ".1f"),
            _known(vectors.mean_document_terms, ".0f"),
            f"{vectors.mean_query_terms:.1f}",
            _known(vectors.flops, ".2f"),
            _known(collection.documents_per_second, ".0f"),
            _known(collection.documents_truncated, ",d"),
        )
    captions = ["cut: documents longer than the encoder reads"]
    captions += [
        f"{one.index}: as it is, not merged; vectors of {one.vectors.documents_sampled:,} documents, drawn at random"
        for one in report.collections
        if one.index is not None
    ]
    table.caption = escape("\n".join(captions))
    return table


def _known(value: float | None, shape: str) -> str:
    return "" if value is None else format(value, shape)


def _short(milliseconds: float) -> str:
    return f"{milliseconds:.0f}" if milliseconds >= 100 else f"{milliseconds:.1f}"


def _table(title: str) -> Table:
    return Table(
        title=escape(title),
        title_justify="left",
        caption_justify="left",
        box=SIMPLE,
        title_style="bold",
        padding=(0, 1),
        collapse_padding=True,
        pad_edge=False,
    )
