"""Figures about vectors and about time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Latency", "VectorCounts", "flops", "latency"]


class VectorCounts:
    """Counts texts, their vectors (one each, or one for each passage), the vectors' terms, and vectors by term."""

    def __init__(self) -> None:
        self.texts = 0
        self.vectors = 0
        self.terms = 0
        self.vectors_of_term: Counter[str] = Counter()

    def add(self, *vectors: Iterable[str]) -> None:
        """Count one text by the terms of its vectors."""
        self.texts += 1
        for terms in vectors:
            distinct = set(terms)
            self.vectors += 1
            self.terms += len(distinct)
            self.vectors_of_term.update(distinct)

    @property
    def mean_vectors(self) -> float:
        """Vectors per text; 0 where there was no text."""
        return self.vectors / self.texts if self.texts else 0.0

    @property
    def mean_terms(self) -> float:
        """Terms with a weight > 0 per text, those of all its vectors added up; 0 where there was no text."""
        return self.terms / self.texts if self.texts else 0.0


def flops(queries: VectorCounts, documents: VectorCounts) -> float:
    """Return the expected number of multiplications to score one document for one query.

    sum over terms of p(term in query) * p(term in document): the FLOPS of SPLADE (Formal et al., SIGIR 2021, after
    Paria et al., ICLR 2020), with activation rates measured instead of estimated. Of a document with passages every
    passage is scored.
    """
    if not queries.texts or not documents.texts:
        return 0.0
    both = sum(count * documents.vectors_of_term[term] for term, count in queries.vectors_of_term.items())
    return both / (queries.texts * documents.texts)


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
