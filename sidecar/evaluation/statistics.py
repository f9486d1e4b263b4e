"""Figures about vectors and about time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Latency", "VectorCounts", "flops", "latency"]


class VectorCounts:
    """Counts how many vectors there were, how many terms they had, and in how many each term was."""

    def __init__(self) -> None:
        self.vectors = 0
        self.terms = 0
        self.documents_of_term: Counter[str] = Counter()

    def add(self, terms: Iterable[str]) -> None:
        """Count one vector by its terms."""
        distinct = set(terms)
        self.vectors += 1
        self.terms += len(distinct)
        self.documents_of_term.update(distinct)

    @property
    def mean_terms(self) -> float:
        """Terms with a weight > 0 per vector; 0 where there was none."""
        return self.terms / self.vectors if self.vectors else 0.0


def flops(queries: VectorCounts, documents: VectorCounts) -> float:
    """Return the expected number of multiplications to score one document for one query.

    sum over terms of p(term in query) * p(term in document): the FLOPS of SPLADE (Formal et al., SIGIR 2021, after
    Paria et al., ICLR 2020), with activation rates measured instead of estimated.
    """
    if not queries.vectors or not documents.vectors:
        return 0.0
    both = sum(count * documents.documents_of_term[term] for term, count in queries.documents_of_term.items())
    return both / (queries.vectors * documents.vectors)


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles in milliseconds."""

    mean: float
    p50: float
    p90: float
    p99: float


def latency(milliseconds: Sequence[float]) -> Latency:
    """Return mean and percentiles (linear interpolation); zeros for no value at all."""
    if not milliseconds:
        return Latency(0.0, 0.0, 0.0, 0.0)
    p50, p90, p99 = (float(value) for value in np.percentile(milliseconds, [50, 90, 99]))
    return Latency(float(np.mean(milliseconds)), p50, p90, p99)
