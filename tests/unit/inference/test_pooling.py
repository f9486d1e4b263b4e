import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sidecar.bundle.manifest import Activation, Pooling
from sidecar.inference.pooling import SLICE, activate, pool_logits, pool_own_terms

LOGITS = arrays(
    np.float32, st.tuples(st.integers(1, 3 * SLICE), st.integers(1, 6)), elements=st.floats(-9, 9, width=32)
)


def literal(logits: np.ndarray, pooling: Pooling, activation: Activation) -> np.ndarray:
    weights = np.maximum(logits.astype(np.float64), 0.0)
    if activation is not Activation.RELU:
        weights = np.log(1.0 + weights)
    if activation is Activation.LOG1P_LOG1P_RELU:
        weights = np.log(1.0 + weights)
    return weights.max(axis=0) if pooling is Pooling.MAX else weights.sum(axis=0)


@pytest.mark.parametrize("activation", Activation)
@pytest.mark.parametrize("pooling", Pooling)
@given(logits=LOGITS)
def test_pooling_as_written_in_the_papers(pooling, activation, logits):
    """Activation first, then pooling: what we do in the other order for max, and in slices for sum."""
    before = logits.copy()
    np.testing.assert_allclose(
        pool_logits(logits, pooling, activation), literal(logits, pooling, activation), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_array_equal(logits, before)


def test_activations_on_paper():
    logits = np.array([-2.0, 0.0, np.e - 1.0], dtype=np.float32)
    np.testing.assert_allclose(activate(logits, Activation.RELU), [0, 0, np.e - 1], rtol=1e-6)
    np.testing.assert_allclose(activate(logits, Activation.LOG1P_RELU), [0, 0, 1], rtol=1e-6)
    np.testing.assert_allclose(activate(logits, Activation.LOG1P_LOG1P_RELU), [0, 0, np.log(2)], rtol=1e-6)


def test_nan_stays_visible():
    assert np.isnan(activate(np.array([np.nan], dtype=np.float32), Activation.LOG1P_RELU)).all()


@pytest.mark.parametrize(("pooling", "expected"), [(Pooling.MAX, [2.0, 5.0, 1.0]), (Pooling.SUM, [3.0, 5.0, 1.5])])
def test_own_terms_on_paper(pooling, expected):
    ids = np.array([4, 7, 4, 9, 9], dtype=np.int32)
    weights = np.array([1.0, 5.0, 2.0, 0.5, 1.0], dtype=np.float32)
    terms, pooled = pool_own_terms(ids, weights, pooling)
    assert terms.tolist() == [4, 7, 9]
    assert pooled.tolist() == expected


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 4, width=16)), max_size=30))
def test_own_terms_are_the_terms_of_the_text(tokens):
    ids = np.array([term for term, _ in tokens], dtype=np.int32)
    weights = np.array([weight for _, weight in tokens], dtype=np.float32)
    terms, largest = pool_own_terms(ids, weights, Pooling.MAX)
    assert terms.tolist() == sorted({term for term, _ in tokens})
    for term, weight in zip(terms.tolist(), largest.tolist(), strict=True):
        assert weight == max(each for own, each in tokens if own == term)
