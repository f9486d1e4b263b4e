"""Whether a difference of two systems may be chance: the paired randomisation test.

Smucker, Allan, Carterette: A comparison of statistical significance tests for information retrieval evaluation, CIKM
2007. Under the null hypothesis each query's pair of values could as well be swapped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sidecar.errors import EvaluationError

__all__ = ["Comparison", "compare"]

ROUNDS = 20_000
BLOCK = 1_000


@dataclass(frozen=True, slots=True)
class Comparison:
    """`difference` = mean of the system minus mean of the baseline; `p_value` two-sided; wins and losses by query."""

    difference: float
    p_value: float
    wins: int
    losses: int


def compare(system: Sequence[float], baseline: Sequence[float], *, rounds: int = ROUNDS, seed: int = 0) -> Comparison:
    """Compare two systems by their values on the same queries; the same input gives the same answer."""
    if len(system) != len(baseline) or not system:
        raise EvaluationError("Two systems are compared on the same queries, and on at least one.")
    differences = np.asarray(system, dtype=np.float64) - np.asarray(baseline, dtype=np.float64)
    observed = abs(float(differences.mean()))
    random = np.random.default_rng(seed)
    extreme = 0
    for start in range(0, rounds, BLOCK):
        signs = random.integers(0, 2, size=(min(BLOCK, rounds - start), len(differences))) * 2 - 1
        means = np.abs((signs * differences).mean(axis=1))
        # Not >=: the sums of one set of numbers differ by rounding with the order of their signs.
        extreme += int(np.count_nonzero(means >= observed - 1e-12))
    return Comparison(
        difference=float(differences.mean()),
        p_value=(extreme + 1) / (rounds + 1),
        wins=int(np.count_nonzero(differences > 0)),
        losses=int(np.count_nonzero(differences < 0)),
    )
