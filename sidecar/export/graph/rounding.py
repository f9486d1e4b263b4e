"""int8 weights that make up for each other's rounding, by what their layer's inputs look like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sidecar.export.checkpoint.weights import Array
from sidecar.export.graph.integers import LEVELS, QuantizedRows, quantize_rows

__all__ = ["Doubles", "InputStatistics", "round_together", "smoothing"]

Doubles = NDArray[np.float64]

DAMPING = 0.01
"""Of the mean of the second moments' diagonal: what is added to it, so that rare inputs do not decide alone."""

STRENGTH = 0.7
"""SmoothQuant's alpha: how much of an input channel's range goes into the weights."""

UNEVEN = 2.5
"""How much larger than the median channel the largest has to be to be worth a pass over the inputs."""


@dataclass(frozen=True, slots=True)
class InputStatistics:
    """Of one product's inputs over a calibration text: sum of x x^T [in, in], and the largest magnitudes [in]."""

    second_moment: Doubles
    largest: Doubles

    def divided(self, factors: Array) -> InputStatistics:
        """The same for inputs that are divided by `factors` [in]."""
        return InputStatistics(self.second_moment / np.outer(factors, factors), self.largest / factors)


def smoothing(statistics: InputStatistics, *matrices: Array) -> Array | None:
    """What to divide the inputs' channels by and multiply the weights' columns with [in]; None: not worth it.

    largest |x|^alpha / largest |w|^(1 - alpha), as in Xiao et al., SmoothQuant, 2023 (arXiv 2211.10438); their
    geometric mean is 1.
    """
    if statistics.largest.max() < UNEVEN * max(float(np.median(statistics.largest)), 1e-12):
        return None
    columns = np.max([np.abs(matrix).max(axis=0) for matrix in matrices], axis=0)
    factors = np.maximum(statistics.largest, 1e-6) ** STRENGTH / np.maximum(columns, 1e-6) ** (1.0 - STRENGTH)
    return np.asarray(factors / np.exp(np.log(factors).mean()), dtype=np.float32)


def round_together(matrix: Array, statistics: InputStatistics) -> QuantizedRows:
    """Quantise each row of `matrix` [out, in] to int8 so that its products with the inputs change least.

    Columns are rounded one after another, and what a rounding changes is made up for by those still to come: Frantar
    et al., GPTQ, 2023 (arXiv 2210.17323), with columns in descending order of their inputs' second moment. Scales are
    those of `quantize_rows`, and its bound on neighbouring pairs holds.
    """
    scales = quantize_rows(matrix).scales.astype(np.float64)
    moment = statistics.second_moment
    moment = moment + np.eye(len(moment)) * max(DAMPING * float(np.diagonal(moment).mean()), 1e-12)
    order = np.argsort(-np.diagonal(moment), kind="stable")
    upper = np.linalg.cholesky(np.linalg.inv(moment[np.ix_(order, order)])).T
    left = matrix.astype(np.float64)[:, order]
    rounded = np.empty_like(left)
    for column in range(left.shape[1]):
        rounded[:, column] = np.clip(np.rint(left[:, column] / scales), -LEVELS, LEVELS)
        error = (left[:, column] - rounded[:, column] * scales) / upper[column, column]
        left[:, column + 1 :] -= np.outer(error, upper[column, column + 1 :])
    values = np.empty_like(rounded)
    values[:, order] = rounded
    return QuantizedRows(_within_pairs(values).astype(np.int8), scales.astype(np.float32))


def _within_pairs(values: Doubles) -> Doubles:
    """Take off the larger of two neighbours of one sign what they have above 128 together."""
    bounded = values.copy()
    width = bounded.shape[1] // 2 * 2
    first, second = bounded[:, 0:width:2], bounded[:, 1:width:2]
    over = np.where(first * second > 0, np.maximum(np.abs(first + second) - 128, 0), 0)
    larger = np.abs(first) >= np.abs(second)
    first -= np.where(larger, np.sign(first) * over, 0)
    second -= np.where(larger, 0, np.sign(second) * over)
    return bounded
