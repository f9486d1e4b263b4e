"""What an evaluation comes down to: a few sentences for each collection, before the tables."""

from __future__ import annotations

from sidecar.evaluation.measures import COMPARED
from sidecar.evaluation.report import CollectionReport, EvaluationReport, ProfileReport
from sidecar.evaluation.significance import Comparison

__all__ = ["SIGNIFICANT", "conclusions"]

SIGNIFICANT = 0.05
"""A corrected p below it is no chance, here and in the tables."""


def conclusions(report: EvaluationReport) -> tuple[str, ...]:
    """Return for each collection which profile is best, by how much, and whether that may be chance."""
    return tuple(_conclusion(collection, report.baseline) for collection in report.collections)


def _conclusion(collection: CollectionReport, baseline: str | None) -> str:
    profiles = collection.profiles
    head = f"{collection.collection}, {collection.queries:,} {'query' if collection.queries == 1 else 'queries'}:"
    best = max(profiles, key=_value)
    base = next((one for one in profiles if one.profile == baseline), None)
    if base is None or len(profiles) == 1:
        return f"{head} {best.profile} has {COMPARED} {_value(best):.4f}, and nothing is compared with it."
    if best.against_baseline is None or _value(best) == _value(base):
        told = f"nothing is better than {base.profile}, {COMPARED} {_value(base):.4f}."
    else:
        told = (
            f"{best.profile} is best, {COMPARED} {_value(best):.4f}; {base.profile} has {_value(base):.4f}."
            f" {_difference(best.against_baseline)}"
        )
    worse = ", ".join(one.profile for one in profiles if _is_worse(one.against_baseline))
    return f"{head} {told}" + (f" Worse than {base.profile}, beyond chance: {worse}." if worse else "")


def _difference(comparison: Comparison) -> str:
    chance = "is beyond chance" if comparison.p_corrected < SIGNIFICANT else "may be chance"
    return (
        f"The gain of {comparison.difference:.4f} {chance} (p {_shown_p(comparison.p_corrected)}; queries won"
        f" {comparison.wins:,}, tied {comparison.ties:,}, lost {comparison.losses:,})."
    )


def _is_worse(comparison: Comparison | None) -> bool:
    return comparison is not None and comparison.difference < 0.0 and comparison.p_corrected < SIGNIFICANT


def _shown_p(value: float) -> str:
    """Return a p as it stands in a sentence: 20,000 rounds tell nothing below .0001 apart."""
    return f"= {value:.4f}" if value >= 0.0001 else "< 0.0001"


def _value(profile: ProfileReport) -> float:
    return profile.means[COMPARED]
