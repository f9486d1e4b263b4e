"""Choosing a setting, and what choosing is worth on queries that did not choose.

The best of thousands of settings is the best by luck, too. So a choice is never judged by the queries that made it:
they are dealt into folds, each fold is measured with the setting that the other folds choose, and the values of all
folds together are compared with those of the profile as it was (Stone, Cross-validatory choice and assessment of
statistical predictions, 1974). Among settings that can't be told from the best one by a standard error, the choice goes
by what changes least and by cost: the one-standard-error rule (Breiman et al., Classification and Regression Trees,
1984), with errors of paired differences, since all settings answer the same queries.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sidecar.errors import EvaluationError
from sidecar.evaluation.significance import Comparison, compare
from sidecar.evaluation.tuning.grid import Grid
from sidecar.evaluation.tuning.settings import Setting, apart

__all__ = ["Choice", "Validation", "deal", "standard_error", "validated"]

LEAST_QUERIES = 4
"""Two folds, and in each of them two queries: one has no standard error."""

ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Validation:
    """What choosing is worth.

    `held_out` has the value of each query with the setting that the other folds chose; `choices` those settings, by
    fold, and `final` the one that all queries choose together. `comparison` and `error` (a standard error) are about
    `held_out` against the profile as it was.
    """

    folds: tuple[int, ...]
    choices: tuple[int, ...]
    final: int
    held_out: tuple[float, ...]
    comparison: Comparison
    error: float


def deal(queries: Sequence[str], folds: int, seed: int) -> tuple[int, ...]:
    """Return the fold of each query, from 0; sizes differ by one at most.

    It depends on the ids and the seed, not on the order of the queries.
    """
    shuffled = sorted(queries)
    random.Random(seed).shuffle(shuffled)
    fold_of = {query: place % folds for place, query in enumerate(shuffled)}
    return tuple(fold_of[query] for query in queries)


def standard_error(differences: NDArray[np.float64]) -> float:
    """Return the standard error of the mean of paired differences; 0 for fewer than two."""
    count = len(differences)
    return float(differences.std(ddof=1)) / math.sqrt(count) if count > 1 else 0.0


class Choice:
    """The one-standard-error rule over a grid's settings.

    Those that are worse than the best one by a standard error at most are equal to it. Of these the one that differs
    least from what the profile has is taken; then its rerank depth falls as far as the result stays one of them.
    """

    def __init__(self, grid: Grid) -> None:
        changes = [(*apart(grid.start, setting), place) for place, setting in enumerate(grid.settings)]
        self._rank = np.empty(len(changes), dtype=np.int64)
        self._rank[sorted(range(len(changes)), key=changes.__getitem__)] = np.arange(len(changes))
        alike: dict[tuple[object, ...], list[int]] = {}
        for place, setting in enumerate(grid.settings):
            alike.setdefault(_but_depth(setting), []).append(place)
        self._cheaper = [
            sorted(alike[_but_depth(setting)], key=lambda place: grid.settings[place].cost) for setting in grid.settings
        ]

    def of(self, values: NDArray[np.float64]) -> int:
        """Return the place of the chosen setting; `values` has the shape [settings, queries]."""
        best = int(values.mean(axis=1).argmax())
        losses = values[best] - values
        errors = losses.std(axis=1, ddof=1) / math.sqrt(values.shape[1])
        equal = losses.mean(axis=1) <= errors + ROUNDING
        places = np.flatnonzero(equal)
        least = int(places[self._rank[places].argmin()])
        return next(place for place in self._cheaper[least] if equal[place])


def _but_depth(setting: Setting) -> tuple[object, ...]:
    return setting.first, None if setting.rerank is None else setting.rerank.weight


def validated(grid: Grid, values: NDArray[np.float64], queries: Sequence[str], folds: int, seed: int) -> Validation:
    """Choose on all folds but one, for each; `values` has the shape [settings, queries].

    With fewer queries than folds, each query is a fold. Raises EvaluationError for fewer than LEAST_QUERIES.
    """
    if len(queries) < LEAST_QUERIES:
        raise EvaluationError(
            f"{len(queries)} judged queries can't be divided into those that choose and those that check:"
            f" {LEAST_QUERIES} are the least, and a hundred would be well."
        )
    choice = Choice(grid)
    fold_of = np.array(deal(queries, min(folds, len(queries)), seed))
    choices: list[int] = []
    held_out = np.empty(len(queries), dtype=np.float64)
    for fold in range(int(fold_of.max()) + 1):
        checking = fold_of == fold
        choices.append(choice.of(values[:, ~checking]))
        held_out[checking] = values[choices[-1], checking]
    differences = held_out - values[0]
    return Validation(
        folds=tuple(int(fold) for fold in fold_of),
        choices=tuple(choices),
        final=choice.of(values),
        held_out=tuple(float(value) for value in held_out),
        comparison=compare(held_out.tolist(), values[0].tolist()),
        error=standard_error(differences),
    )
