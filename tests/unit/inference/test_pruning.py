"""The rules against a slow literal reference that works on a dict of float32, as neural-search works on a map."""

import heapq

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import Pruning, PruningType
from sidecar.inference.pruning import descending, prune

RATIOS = st.floats(0.0, 0.9990234375, width=32)
WEIGHTS = st.dictionaries(
    st.integers(0, 200),
    st.one_of(st.floats(0.0009765625, 10.0, width=32), st.sampled_from([0.5, 1.0, 2.0])),
    max_size=40,
)


def reference(vector: dict[int, np.float32], rule: Pruning) -> dict[int, np.float32]:
    value = np.float32(rule.value)
    match rule.type:
        case PruningType.NONE:
            return dict(vector)
        case PruningType.MAX_RATIO:
            largest = max(vector.values(), default=np.float32(0))
            return {term: weight for term, weight in vector.items() if weight >= value * largest}
        case PruningType.ABS_VALUE:
            return {term: weight for term, weight in vector.items() if weight >= value}
        case PruningType.TOP_K:
            heap: list[tuple[np.float32, int, int]] = []
            for order, (term, weight) in enumerate(vector.items()):
                if len(heap) < int(rule.value):
                    heapq.heappush(heap, (weight, -order, term))
                elif weight > heap[0][0]:
                    heapq.heapreplace(heap, (weight, -order, term))
            return {term: weight for weight, _, term in heap}
        case PruningType.ALPHA_MASS:
            total = np.float32(sum(float(weight) for weight in vector.values()))
            running, kept = np.float32(0), {}
            for term, weight in sorted(vector.items(), key=lambda pair: -pair[1]):
                running = np.float32(running + weight)
                if running <= np.float32(value * total):
                    kept[term] = weight
            return kept


def run(vector: dict[int, float], rule: Pruning) -> list[tuple[int, np.float32]]:
    ids = np.array(list(vector), dtype=np.int32)
    weights = np.array(list(vector.values()), dtype=np.float32)
    kept_ids, kept_weights = prune(*descending(ids, weights), rule)
    return list(zip(kept_ids.tolist(), kept_weights, strict=True))


def rules() -> st.SearchStrategy[Pruning]:
    return st.one_of(
        st.just(Pruning()),
        st.builds(Pruning, st.just(PruningType.MAX_RATIO), RATIOS),
        st.builds(Pruning, st.just(PruningType.ALPHA_MASS), RATIOS),
        st.builds(Pruning, st.just(PruningType.ABS_VALUE), st.floats(0.0009765625, 12.0, width=32)),
        st.builds(Pruning, st.just(PruningType.TOP_K), st.integers(1, 50).map(float)),
    )


@given(WEIGHTS, rules())
def test_as_the_reference(vector, rule):
    """Insertion order is ascending here, so that "ties keep the first" is "ties keep the smaller id"."""
    ordered = {term: np.float32(vector[term]) for term in sorted(vector)}
    assert dict(run(ordered, rule)) == reference(ordered, rule)


@given(WEIGHTS, rules())
def test_a_subset_in_descending_order_with_ties_by_id(vector, rule):
    kept = run(vector, rule)
    assert set(kept) <= {(term, np.float32(weight)) for term, weight in vector.items()}
    assert kept == sorted(kept, key=lambda pair: (-pair[1], pair[0]))


@given(WEIGHTS, rules())
def test_what_is_kept_outweighs_what_is_dropped(vector, rule):
    kept = dict(run(vector, rule))
    dropped = [np.float32(weight) for term, weight in vector.items() if term not in kept]
    assert not kept or not dropped or min(kept.values()) >= max(dropped)


@given(WEIGHTS, rules().filter(lambda rule: rule.type is not PruningType.ALPHA_MASS))
def test_pruning_twice_is_pruning_once(vector, rule):
    """Not so for alpha_mass, whose total shrinks with every pass."""
    once = run(vector, rule)
    assert run(dict(once), rule) == once


@given(WEIGHTS, RATIOS, RATIOS)
def test_a_smaller_ratio_keeps_more(vector, one, other):
    small, large = sorted((one, other))
    most = dict(run(vector, Pruning(PruningType.MAX_RATIO, small)))
    least = dict(run(vector, Pruning(PruningType.MAX_RATIO, large)))
    assert set(least) <= set(most)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Pruning(), [4, 3, 2, 1]),
        (Pruning(PruningType.MAX_RATIO, 0.5), [4, 3]),
        (Pruning(PruningType.MAX_RATIO, 0.0), [4, 3, 2, 1]),
        (Pruning(PruningType.ABS_VALUE, 2.0), [4, 3, 2]),
        (Pruning(PruningType.ABS_VALUE, 100.0), []),
        (Pruning(PruningType.TOP_K, 2), [4, 3]),
        (Pruning(PruningType.TOP_K, 99), [4, 3, 2, 1]),
        (Pruning(PruningType.ALPHA_MASS, 0.8), [4]),
        (Pruning(PruningType.ALPHA_MASS, 0.86), [4, 3]),
        (Pruning(PruningType.ALPHA_MASS, 0.3), []),
        (Pruning(PruningType.ALPHA_MASS, 0.0), []),
    ],
)
def test_the_rules_on_paper(rule, expected):
    """Weights 8, 5, 2, 0.25 of terms 4, 3, 2, 1: the total is 15.25, and .8 of it lies between 8 and 13."""
    assert [term for term, _ in run({1: 0.25, 2: 2.0, 3: 5.0, 4: 8.0}, rule)] == expected


@pytest.mark.parametrize("rule", [Pruning(), Pruning(PruningType.MAX_RATIO, 0.1), Pruning(PruningType.ALPHA_MASS, 0.9)])
def test_nothing_stays_nothing(rule):
    assert run({}, rule) == []


def test_the_term_that_crosses_the_mass_is_dropped_even_where_it_is_the_only_one():
    assert run({7: 3.0}, Pruning(PruningType.ALPHA_MASS, 0.99)) == []


def test_ties_keep_the_smaller_id():
    assert run({9: 1.0, 3: 1.0, 5: 1.0}, Pruning(PruningType.TOP_K, 2)) == [(3, 1.0), (5, 1.0)]
