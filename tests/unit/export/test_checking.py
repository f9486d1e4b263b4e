"""How far a graph is from its checkpoint: over all texts, and never passed over."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from sidecar.bundle import Activation, Pooling, QueryMode
from sidecar.domain import ModelKind
from sidecar.export.checking import Sample, compare
from sidecar.export.checkpoint import Head
from sidecar.export.recipe import Recipe
from tests.support.graphs import write_graph

RECIPE = Recipe(
    ModelKind.SPARSE_ENCODER, Head.TOKEN_WEIGHTS, Pooling.MAX, Activation.RELU, QueryMode.NEURAL, None, None, False, 8
)


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    """A graph whose weights are the square roots of the token ids: of a negative one, none."""
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Sqrt", ["numbers"], ["weights"]),
    ]
    return write_graph(tmp_path / "model.onnx", nodes, {"weights": ("batch", "length")}, {})


def sample(*ids: int, expected: tuple[float, ...]) -> Sample:
    return Sample(ids, (0,) * len(ids), np.asarray(expected, dtype=np.float32))


def test_the_largest_difference_of_all_texts(roots: Path) -> None:
    found = compare(roots, [sample(4, 9, expected=(2.0, 3.0)), sample(16, expected=(4.5,))], RECIPE)
    assert (found.largest_difference, found.largest_weight, found.texts) == (0.5, 4.5, 2)
    assert found.cosine == pytest.approx(1.0)


@pytest.mark.parametrize("place", range(3))
def test_a_weight_that_is_no_number_is_a_difference_wherever_it_comes(roots: Path, place: int) -> None:
    samples = [sample(4, 9, expected=(2.0, 3.0)), sample(16, expected=(4.0,))]
    samples.insert(place, sample(-1, 4, expected=(1.0, 2.0)))
    found = compare(roots, samples, RECIPE)
    assert math.isnan(found.largest_difference)
    assert found.cosine is not None
    assert math.isnan(found.cosine)
