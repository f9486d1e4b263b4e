import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.bundle import Activation
from sidecar.domain import Pruning, PruningType
from sidecar.errors import BundleCorrupt, InferenceFailed
from sidecar.inference.calls import Item
from sidecar.inference.pooling import activate
from sidecar.inference.sessions import OnnxSession
from sidecar.inference.sparse_encoder import SparseRows
from sidecar.inference.tokens import TextTokenizer
from sidecar.inference.vectors import Columns, Encodings, merge_windows, to_vector
from sidecar.inference.windows import Cut
from tests.unit.inference.graphs import SIZE, SPECIALS, expected_weights, sparse_bundle, table, term_id, write_tokenizer

IDS = [2, 9, 30, 9, 3]


def rows(folder, **bundle) -> SparseRows:
    opened = sparse_bundle(folder, **bundle)
    tokenizer = TextTokenizer(opened.file("tokenizer.json"))
    graph = opened.manifest.graph
    session = OnnxSession(opened.file("model.onnx"), graph, name="test", threads=1, pad_id=0)
    return SparseRows(opened, tokenizer, session)


def item(ids=IDS, tokens=8) -> Item:
    return Item(np.array(ids, dtype=np.int32), slot=0, tokens=tokens, second=len(ids))


def as_dict(columns: Columns) -> dict[int, float]:
    return dict(zip(columns.ids.tolist(), columns.weights.tolist(), strict=True))


def positive(weights, drop=()) -> dict[int, float]:
    return {number: pytest.approx(w, rel=1e-4) for number, w in enumerate(weights) if w > 0 and number not in drop}


def test_the_graphs_weights_without_special_tokens(tmp_path):
    (columns,) = rows(tmp_path)([item()])
    assert as_dict(columns) == positive(expected_weights(IDS, table()), drop=range(len(SPECIALS)))


@pytest.mark.parametrize(("policy", "dropped"), [("drop_all", range(len(SPECIALS))), ("drop_pad", [0]), ("keep", [])])
def test_special_tokens_by_policy(tmp_path, policy, dropped):
    matrix = table()
    matrix[:, : len(SPECIALS)] = 1.0
    (columns,) = rows(tmp_path, matrix=matrix, special_tokens=policy)([item()])
    assert as_dict(columns) == positive(expected_weights(IDS, matrix), drop=dropped)


@pytest.mark.parametrize("activation", Activation)
@pytest.mark.parametrize("pooling", ["max", "sum"])
def test_logits_of_a_foreign_graph_are_pooled_outside(tmp_path, activation, pooling):
    made = rows(tmp_path, kind="token_logits", activation=activation.value, pooling=pooling, special_tokens="keep")
    short, long = made([item(), item([2, *range(5, 15), 3], 16)])
    for columns, ids in ((short, IDS), (long, [2, *range(5, 15), 3])):
        each = activate(table()[ids], activation)
        assert as_dict(columns) == positive(each.max(axis=0) if pooling == "max" else each.sum(axis=0))


@pytest.mark.parametrize("pooling", ["max", "sum"])
def test_own_terms_get_weights_of_their_own_tokens_only(tmp_path, pooling):
    (columns,) = rows(tmp_path, kind="token_weights", pooling=pooling)([item([2, 9, 30, 9, 31, 3])])
    single = np.maximum(table()[:, 0], 0)
    twice = 2 if pooling == "sum" else 1
    expected = {9: single[9] * twice, 30: single[30], 31: single[31]}
    assert as_dict(columns) == {number: pytest.approx(weight) for number, weight in expected.items() if weight > 0}


@pytest.mark.parametrize(("poison", "kind"), [(np.nan, "token_logits"), (np.inf, "token_logits"), (np.inf, "weights")])
def test_a_weight_that_is_no_number_fails_its_own_item(tmp_path, poison, kind):
    matrix = table()
    matrix[40, 50] = poison
    bad, good = rows(tmp_path, matrix=matrix, kind=kind)([item([2, 40, 3]), item([2, 41, 3])])
    assert isinstance(bad, InferenceFailed)
    assert as_dict(good) == positive(expected_weights([2, 41, 3], matrix), drop=range(len(SPECIALS)))


def test_a_row_does_not_keep_the_batch_alive(tmp_path):
    (columns,) = rows(tmp_path)([item()])
    assert columns.weights.base is None
    assert columns.ids.base is None


def test_a_tokenizer_larger_than_the_graph_is_refused(tmp_path):
    with pytest.raises(BundleCorrupt):
        rows(tmp_path, vocabulary_size=SIZE - 1)


def test_terms_the_tokenizer_does_not_know_stay_out(tmp_path):
    """Some checkpoints pad their vocabulary to a multiple of 64: rows that no token has."""
    from tokenizers import Tokenizer

    opened = sparse_bundle(tmp_path / "bundle")
    write_tokenizer(tmp_path / "tokenizer.json")
    smaller = Tokenizer.from_file(str(tmp_path / "tokenizer.json")).to_str().replace('"w58":63', '"w58":62')
    (tmp_path / "tokenizer.json").write_text(smaller)
    session = OnnxSession(opened.file("model.onnx"), opened.manifest.graph, name="test", threads=1, pad_id=0)
    made = SparseRows(opened, TextTokenizer(tmp_path / "tokenizer.json"), session)
    matrix = table()
    ids = next([2, number, 3] for number in range(5, 60) if matrix[number, 63] > 0)
    (columns,) = made([item(ids)])
    assert 63 not in columns.ids
    assert columns.ids.size


@given(
    st.lists(st.dictionaries(st.integers(0, 20), st.floats(0.0625, 4, width=16), max_size=10), min_size=1, max_size=5)
)
def test_windows_merge_by_the_largest_weight(parts):
    merged = merge_windows(
        [
            Columns(np.array(list(part), dtype=np.int32), np.array(list(part.values()), dtype=np.float32))
            for part in parts
        ]
    )
    expected = {term: max(part[term] for part in parts if term in part) for part in parts for term in part}
    assert as_dict(merged) == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
def test_windows_may_come_in_any_order(random):
    cuts = [Cut(((0, 4), (3, 7), (6, 9)), True), Cut((), False), Cut(((0, 2),), False)]
    encodings = Encodings(cuts, Pruning(PruningType.TOP_K, 2), ["a", "b", "c", "d"])
    deliveries = [(0, {0: 1.0, 1: 3.0}), (1, {0: 2.0}), (2, {2: 0.5}), (3, {3: 1.0})]
    random.shuffle(deliveries)
    for slot, part in deliveries:
        encodings.deliver(
            slot, Columns(np.array(list(part), dtype=np.int32), np.array(list(part.values()), dtype=np.float32))
        )
    first, empty, last = encodings.result()
    assert first.vector.by_term() == {"b": 3.0, "a": 2.0}
    assert (first.truncated, first.windows, first.tokens) == (True, 3, 9)
    assert (len(empty.vector), empty.windows, empty.tokens) == (0, 0, 0)
    assert last.vector.by_term() == {"d": 1.0}
    assert (last.truncated, last.windows, last.tokens) == (False, 1, 2)


def test_vectors_hold_plain_numbers():
    """No numpy type may reach an edge: serialisers refuse them, or write them differently."""
    vector = to_vector(Columns(np.array([5], np.int32), np.array([1.5], np.float32)), Pruning(), None)
    assert type(vector.term_ids[0]) is int
    assert type(vector.weights[0]) is float
    assert term_id("w0") == 5
