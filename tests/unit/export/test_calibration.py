"""int8 weights that are rounded by calibration texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.bundle import Quantization
from sidecar.domain import ModelKind
from sidecar.errors import ExportError
from sidecar.export import ExportOptions, export_checkpoint
from sidecar.export.calibration import input_statistics
from sidecar.export.checkpoint.reading import read_checkpoint
from sidecar.export.graph.integers import quantize_rows
from sidecar.export.graph.rounding import InputStatistics, round_together, smoothing
from sidecar.export.recipe import make_recipe
from tests.unit.export.running import TEXTS, Graph

seeds = st.integers(0, 2**32 - 1)
widths = st.integers(1, 24)


def statistics_of(inputs: np.ndarray) -> InputStatistics:
    return InputStatistics(inputs.T @ inputs, np.abs(inputs).max(axis=0))


def drawn(seed: int, width: int, rows: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """A matrix [rows, width] and correlated inputs [64, width]."""
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(64, width)) @ random.normal(size=(width, width))
    return random.normal(size=(rows, width)).astype(np.float32), mixed


@given(seed=seeds, width=widths)
def test_values_scales_and_pairs_are_those_that_processors_take(seed: int, width: int) -> None:
    matrix, inputs = drawn(seed, width)
    rounded = round_together(matrix, statistics_of(inputs))
    assert np.array_equal(rounded.scales, quantize_rows(matrix).scales)
    assert rounded.values.dtype == np.int8
    assert np.abs(rounded.values.astype(int)).max() <= 127
    pairs = rounded.values[:, : width // 2 * 2].astype(int).reshape(len(matrix), -1, 2)
    assert (np.abs(np.where(pairs.prod(axis=2) > 0, pairs.sum(axis=2), 0)) <= 128).all()


def test_products_change_less_than_with_each_weight_by_itself() -> None:
    ratios = []
    for seed in range(20):
        matrix, inputs = drawn(seed, 32, rows=16)
        exact = inputs @ matrix.T
        errors = [
            np.linalg.norm(inputs @ (found.values * found.scales[:, None].astype(np.float64)).T - exact)
            for found in (round_together(matrix, statistics_of(inputs)), quantize_rows(matrix))
        ]
        ratios.append(errors[0] / errors[1])
    assert np.median(ratios) < 0.8
    assert max(ratios) < 1.0


def test_inputs_that_were_never_seen_leave_plain_rounding() -> None:
    matrix, _ = drawn(1, 8)
    rounded = round_together(matrix, InputStatistics(np.zeros((8, 8)), np.zeros(8)))
    assert np.array_equal(rounded.values, quantize_rows(matrix).values)


@given(seed=seeds, width=st.integers(3, 24))
def test_what_inputs_lose_weights_get(seed: int, width: int) -> None:
    matrix, inputs = drawn(seed, width)
    inputs[:, 0] *= 1_000.0
    statistics = statistics_of(inputs)
    factors = smoothing(statistics, matrix)
    assert factors is not None
    assert np.exp(np.log(factors).mean()) == pytest.approx(1.0, rel=1e-3)
    assert np.allclose((inputs / factors) @ (matrix * factors).T, inputs @ matrix.T, rtol=1e-3, atol=1e-3)
    divided = statistics.divided(factors.astype(np.float64))
    again = statistics_of(inputs / factors.astype(np.float64))
    assert np.allclose(divided.second_moment, again.second_moment, rtol=1e-6)
    assert np.allclose(divided.largest, again.largest)


def test_even_channels_are_left_alone() -> None:
    assert smoothing(InputStatistics(np.eye(4), np.asarray([1.0, 2.0, 2.0, 3.0])), np.eye(4, dtype=np.float32)) is None


@pytest.mark.parametrize(
    ("checkpoint", "products"), [("tiny_sparse_checkpoint", 9), ("tiny_cross_encoder_checkpoint", 9)]
)
def test_every_product_has_its_statistics(
    checkpoint: str, products: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    found = read_checkpoint(request.getfixturevalue(checkpoint))
    options = ExportOptions(quantize=Quantization.INT8, calibration=tuple(TEXTS))
    statistics = input_statistics(found, make_recipe(found, options), options, tmp_path)
    assert len(statistics) == products
    for one in statistics:
        assert one.second_moment.shape == (one.largest.size, one.largest.size)
        assert np.allclose(one.second_moment, one.second_moment.T)
        assert (np.diagonal(one.second_moment) <= 10_000 * one.largest**2 + 1e-9).all()
    assert not list(tmp_path.iterdir())


def test_a_calibrated_graph_is_closer_to_the_checkpoint(tiny_sparse_checkpoint: Path, tmp_path: Path) -> None:
    plain = ExportOptions(quantize=Quantization.INT8)
    calibrated = ExportOptions(quantize=Quantization.INT8, calibration=tuple(TEXTS))
    export_checkpoint(tiny_sparse_checkpoint, tmp_path / "exact")
    exact = Graph(tmp_path / "exact")
    errors = {}
    for name, options in (("plain", plain), ("calibrated", calibrated)):
        report = export_checkpoint(tiny_sparse_checkpoint, tmp_path / name, options)
        assert report.int8 is not None
        assert report.int8.cosine is not None
        assert report.int8.cosine > 0.99
        graph = Graph(tmp_path / name)
        errors[name] = sum(float(np.abs(graph.run([text]) - exact.run([text])).sum()) for text in TEXTS)
    assert errors["calibrated"] < errors["plain"]


def test_calibrated_twice_is_the_same_bundle(tiny_cross_encoder_checkpoint: Path, tmp_path: Path) -> None:
    options = ExportOptions(quantize=Quantization.INT8, calibration=tuple(TEXTS))
    first, second = (export_checkpoint(tiny_cross_encoder_checkpoint, tmp_path / name, options) for name in "ab")
    assert first.manifest.kind is ModelKind.CROSS_ENCODER
    assert first.manifest.fingerprint == second.manifest.fingerprint
    assert first.int8 is not None


def test_float32_has_nothing_to_calibrate() -> None:
    with pytest.raises(ExportError, match="int8") as refused:
        ExportOptions(calibration=("a text",))
    assert refused.value.field == "calibration"
