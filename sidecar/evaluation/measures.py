"""Effectiveness, by ir-measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ir_measures
from ir_measures import RR, R, nDCG

from sidecar.evaluation.judged import Judgements
from sidecar.evaluation.run import Run

__all__ = ["COMPARED", "MEASURES", "Effectiveness", "measure"]

MEASURES: dict[str, ir_measures.Measure] = {"nDCG@10": nDCG @ 10, "MRR@10": RR @ 10, "R@100": R @ 100}
"""What is reported, by the name it is reported under. nDCG takes a grade as its gain; the others count grades >= 1."""

COMPARED = "nDCG@10"
"""The measure that profiles are compared by."""


@dataclass(frozen=True, slots=True)
class Effectiveness:
    """Means over all judged queries, and the values they are means of."""

    means: Mapping[str, float]
    per_query: Mapping[str, Mapping[str, float]]

    def values(self, name: str, queries: Sequence[str]) -> list[float]:
        """Return the measure's values in the order of `queries`."""
        return [self.per_query[query][name] for query in queries]


def measure(run: Run, judgements: Judgements) -> Effectiveness:
    """Measure a run; a judged query that the run lacks counts as 0.

    Only the order of the run counts: its ranks are turned into scores, since tools break ties of scores each in its
    own way.
    """
    ranks = {
        query: {line.document: float(len(ranking) - rank) for rank, line in enumerate(ranking)}
        for query, ranking in run.items()
        if query in judgements and ranking
    }
    # Below 0 (spam, at TREC) is as irrelevant as 0; trec_eval counts grades in an array, and ends the process below -1.
    grades = {query: {name: max(0, grade) for name, grade in known.items()} for query, known in judgements.items()}
    per_query = {query: dict.fromkeys(MEASURES, 0.0) for query in judgements}
    if ranks:
        names = {value: name for name, value in MEASURES.items()}
        for metric in ir_measures.iter_calc(list(MEASURES.values()), grades, ranks):
            per_query[metric.query_id][names[metric.measure]] = float(metric.value)
    means = {name: sum(values[name] for values in per_query.values()) / len(per_query) for name in MEASURES}
    return Effectiveness(means, per_query)
