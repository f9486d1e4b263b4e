"""The tables of the model cards, in Markdown."""

from collections.abc import Mapping, Sequence

from scripts.starter.measured import Ablation, Curve, Figures, Measured
from scripts.starter.variants import SHIPPED

RERANKED = "hybrid+rerank"

NOT_MEASURED = "Not measured for this build."


def across(figures: Figures, *, mean_of: Sequence[str] = ()) -> str:
    """A Markdown table with a row for each variant and a column for each collection; `mean_of` names those averaged."""
    names = list(figures)
    heads = [*names, *(["mean of the tests"] if mean_of else [])]
    rows = [f"| | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for variant in figures[names[0]]:
        values = [figures[name][variant] for name in names]
        if mean_of:
            values.append(sum(figures[name][variant] for name in mean_of) / len(mean_of))
        shown = " | ".join(_shown(value) for value in values)
        label = f"**{variant}**" if variant == SHIPPED else variant
        rows.append(f"| {label} | {shown} |")
    return "\n".join(rows)


def _shown(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def curve_table(curve: Curve, columns: Mapping[str, str]) -> str:
    """A column for each of about ten steps of a training, a row for each of `columns`, which has titles by name."""
    every = max(1, len(curve) // 10)
    rows = [row for index, row in enumerate(curve) if (index + 1) % every == 0]
    lines = [f"| step | {' | '.join(str(row['step']) for row in rows)} |", "|---" * (len(rows) + 1) + "|"]
    for name, title in columns.items():
        lines.append(f"| {title} | {' | '.join(f'{row[name]:.2f}' for row in rows)} |")
    return "\n".join(lines)


def on_opensearch(found: Measured, *, reranked: bool) -> str:
    """The table of all collections, or, `reranked`, of those where the second stage was measured too."""
    figures = {name: values for name, values in found.profiles.items() if not reranked or RERANKED in values}
    if not figures:
        return NOT_MEASURED
    if not reranked:
        figures = {
            name: {profile: value for profile, value in values.items() if profile != RERANKED}
            for name, values in figures.items()
        }
    return across(figures, mean_of=list(figures))


def ablation_table(found: Ablation | None) -> str:
    """A row for each training, a column for each collection and slice, and the terms per document."""
    if found is None:
        return NOT_MEASURED
    judged = list(next(iter(found.scores.values())))
    counted = list(next(iter(found.terms.values())))
    heads = [*judged, *(f"terms, {name}" for name in counted)]
    rows = [f"| | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for run, scores in found.scores.items():
        values = [_shown(scores[name]) for name in judged] + [f"{found.terms[run][name]:.0f}" for name in counted]
        rows.append(f"| {run} | {' | '.join(values)} |")
    return (
        f"Trainings of {found.steps} steps from one start, each without one ingredient of the recipe, measured as the "
        "shipped variant above: nDCG@10 on the dev splits, MRR@10 on the slices below. The shipped encoder has more "
        "steps behind it.\n\n" + "\n".join(rows)
    )


def precisions(figures: Figures) -> str:
    """A row for each precision, a column for each collection."""
    return across(figures) if figures else NOT_MEASURED
