"""How much a value matters: the chosen setting, with one value changed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sidecar.evaluation.tuning.choice import standard_error
from sidecar.evaluation.tuning.grid import Grid
from sidecar.evaluation.tuning.report import CurvePoint
from sidecar.evaluation.tuning.settings import AxisValue

__all__ = ["curves_of"]


def curves_of(grid: Grid, values: NDArray[np.float64], chosen: int) -> dict[str, tuple[CurvePoint, ...]]:
    """Return a curve along each axis that the grid has, in ascending order of its values.

    `values` has the shape [settings, queries], `chosen` is the place of a setting.
    """
    curves: dict[str, list[CurvePoint]] = {axis: [] for axis in grid.axes}
    here = grid.settings[chosen].axes()
    for place, setting in enumerate(grid.settings):
        there = setting.axes()
        changed = [axis for axis in here if here[axis] != there[axis]]
        if len(changed) > 1:
            continue
        differences = values[place] - values[chosen]
        for axis in changed or grid.axes:
            point = CurvePoint(
                value=there[axis],
                mean=float(values[place].mean()),
                difference=float(differences.mean()),
                error=standard_error(differences),
            )
            curves[axis].append(point)
    return {axis: tuple(sorted(points, key=_by_value)) for axis, points in curves.items()}


def _by_value(point: CurvePoint) -> tuple[float, AxisValue]:
    # The names of fusions have no order of their own but the alphabet's.
    return (0.0, point.value) if isinstance(point.value, str) else (point.value, "")
