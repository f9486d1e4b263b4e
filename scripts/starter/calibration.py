"""Making a cross-encoder's sigmoid a probability: Platt scaling on held-out pairs, and how far off it is."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

BINS = 15


class Platt(NamedTuple):
    """logit -> scale * logit + shift (Platt 1999)."""

    scale: float
    shift: float


def fit(logits: NDArray[np.float32], truth: NDArray[np.float32]) -> Platt:
    """The scaling with the smallest cross-entropy; `logits` and `truth` (0 or 1) have shape [pairs]."""
    values, targets = torch.from_numpy(logits).double(), torch.from_numpy(truth).double()
    parameters = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([parameters], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        entropy = functional.binary_cross_entropy_with_logits(parameters[0] * values + parameters[1], targets)
        entropy.backward()  # type: ignore[no-untyped-call]
        return entropy

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    scale, shift = parameters.detach().tolist()
    return Platt(scale, shift)


def apply(scaling: Platt, classifier: nn.Linear) -> None:
    """Put the scaling into the last layer's own weights."""
    with torch.no_grad():
        classifier.weight.mul_(scaling.scale)
        classifier.bias.mul_(scaling.scale).add_(scaling.shift)


def calibration_error(logits: NDArray[np.float32], truth: NDArray[np.float32], bins: int = BINS) -> float:
    """Expected calibration error: |mean score - share of relevant| of equally wide bins, weighted by their pairs.

    (Guo et al., arXiv 1706.04599.) The score is the sigmoid of the logit.
    """
    scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
    places = np.minimum((scores * bins).astype(int), bins - 1)
    gaps = [
        (places == place).mean() * abs(scores[places == place].mean() - truth[places == place].mean())
        for place in np.unique(places)
    ]
    return float(sum(gaps))
