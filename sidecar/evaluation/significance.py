"""Whether a difference of two systems may be chance: the paired randomisation test.

Smucker, Allan, Carterette: A comparison of statistical significance tests for information retrieval evaluation, CIKM
2007. Under the null hypothesis each query's pair of values could as well be swapped. Where several systems are compared
with one baseline, Holm's correction (1979) keeps the chance of one false find among them below the level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sidecar.errors import EvaluationError

__all__ = ["Comparison", "compare", "corrected"]

ROUNDS = 20_000
BLOCK = 1_000


@dataclass(frozen=True, slots=True)
class Comparison:
    """`difference` = mean of the system minus mean of the baseline; wins, ties and losses by query.

    `p_value` is two-sided, of this comparison alone; `p_corrected` minds those made beside it, see `corrected`.
    """

    difference: float
    p_value: float
    p_corrected: float
    wins: int
    ties: int
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
    p_value = (extreme + 1) / (rounds + 1)
    return Comparison(
        difference=float(differences.mean()),
        p_value=p_value,
        p_corrected=p_value,
        wins=int(np.count_nonzero(differences > 0)),
        ties=int(np.count_nonzero(differences == 0)),
        losses=int(np.count_nonzero(differences < 0)),
    )


def corrected(comparisons: Mapping[str, Comparison]) -> dict[str, Comparison]:
    """Return the comparisons, in their order, with p_corrected after Holm over all of them."""
    largest = 0.0
    found: dict[str, Comparison] = {}
    by_p = sorted(comparisons.items(), key=lambda item: item[1].p_value)
    for rank, (name, comparison) in enumerate(by_p):
        # Never below that of a smaller p: what comes later in the order is not found more easily.
        largest = max(largest, min(1.0, (len(by_p) - rank) * comparison.p_value))
        found[name] = replace(comparison, p_corrected=largest)
    return {name: found[name] for name in comparisons}
