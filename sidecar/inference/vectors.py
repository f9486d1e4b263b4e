"""From arrays of ids and weights to `SparseVector`: merging windows, pruning, naming terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sidecar.domain import Encoding, Pruning, SparseVector
from sidecar.inference.pruning import descending, prune
from sidecar.inference.windows import Cut

__all__ = ["Columns", "Encodings", "add", "merge_windows", "to_vector"]


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Unsorted terms of one window, all weights > 0; both arrays have shape [terms]."""

    ids: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]


def merge_windows(parts: Sequence[Columns]) -> Columns:
    """Give each term the largest weight it has in any window."""
    if len(parts) == 1:
        return parts[0]
    ids, inverse = np.unique(np.concatenate([part.ids for part in parts]), return_inverse=True)
    weights = np.zeros(ids.size, dtype=np.float32)
    np.maximum.at(weights, inverse, np.concatenate([part.weights for part in parts]))
    return Columns(ids, weights)


def add(one: Columns, other: Columns) -> Columns:
    """Add two vectors, neither of which has a term twice."""
    ids, inverse = np.unique(np.concatenate((one.ids, other.ids)), return_inverse=True)
    weights = np.zeros(ids.size, dtype=np.float32)
    np.add.at(weights, inverse, np.concatenate((one.weights, other.weights)))
    return Columns(ids, weights)


def to_vector(columns: Columns, rule: Pruning, terms: Sequence[str | None] | None) -> SparseVector:
    """Sort, prune, and name the terms where `terms`, the vocabulary by id, is given."""
    ids, weights = prune(*descending(columns.ids, columns.weights), rule)
    numbers = tuple(ids.tolist())
    return SparseVector(
        term_ids=numbers,
        weights=tuple(weights.tolist()),
        terms=() if terms is None else tuple(terms[number] or "" for number in numbers),
    )


class Encodings:
    """Collects one call's windows and finishes each text as soon as its last window is there.

    `deliver` runs in one of the scheduler's threads, so that pruning never holds the event loop up.
    """

    def __init__(
        self,
        cuts: Sequence[Cut],
        rule: Pruning,
        terms: Sequence[str | None] | None,
        floors: Sequence[Columns] | None = None,
    ) -> None:
        """`floors`, one per text, are added to what the model gives, before pruning."""
        self._cuts = cuts
        self._rule = rule
        self._floors = floors
        self._terms = terms
        self._owners = [position for position, cut in enumerate(cuts) for _ in cut.spans]
        self._parts: list[list[Columns]] = [[] for _ in cuts]
        self._done: list[Encoding] = [Encoding(SparseVector(), windows=0) for _ in cuts]

    def deliver(self, slot: int, row: Columns) -> None:
        """Take the row of the call's `slot`-th window."""
        position = self._owners[slot]
        cut, parts = self._cuts[position], self._parts[position]
        parts.append(row)
        if len(parts) == len(cut.spans):
            columns = merge_windows(parts)
            if self._floors is not None:
                columns = add(columns, self._floors[position])
            vector = to_vector(columns, self._rule, self._terms)
            self._done[position] = Encoding(vector, cut.truncated, len(cut.spans), cut.tokens)
            parts.clear()

    def result(self) -> tuple[Encoding, ...]:
        return tuple(self._done)
