"""Folded vocabularies: several tokens that are one term, and tokens that are none."""

import hypothesis.strategies as st
import numpy as np
import orjson
import pytest
from hypothesis import given

from sidecar.domain import Pruning, Windows
from sidecar.errors import BundleCorrupt
from sidecar.inference.folds import NO_TERM, Folds
from sidecar.inference.query_encoder import TableQueryEncoder
from sidecar.inference.tokens import TextTokenizer
from sidecar.inference.vectors import Columns
from tests.unit.inference.graphs import sparse_bundle, term_id

FOLDS = {"w2": "w1", "w3": "w1", "w4": None}


def opened(folder, folds=FOLDS):
    bundle = sparse_bundle(folder, kind="none", query_weights={"w1": 2.0, "w5": 1.0, "w4": 3.0}, folds=folds)
    return bundle, TextTokenizer(bundle.file("tokenizer.json"))


def ids(*words):
    return np.asarray([term_id(word) for word in words], dtype=np.int32)


def test_tokens_count_as_the_term_they_are_folded_onto(tmp_path):
    folds = Folds.load(*opened(tmp_path))
    assert folds.terms(ids("w3", "w5", "w4", "w1", "w2")).tolist() == ids("w1", "w5", "w1", "w1").tolist()
    assert folds.terms(ids()).size == 0


def test_a_query_has_each_term_once(tmp_path):
    bundle, tokenizer = opened(tmp_path)
    encoding = TableQueryEncoder(bundle, tokenizer).encode("w3 w2 w5 w4", Pruning(), Windows(), return_terms=True)
    assert encoding.vector.by_term() == {"w1": 2.0, "w5": 1.0}
    assert encoding.tokens == 4


def test_a_term_gets_the_largest_weight_of_its_tokens(tmp_path):
    folds = Folds.load(*opened(tmp_path))
    weights = np.asarray([1.0, 3.0, 9.0, 0.5], dtype=np.float32)
    folded = folds.fold(Columns(ids("w1", "w2", "w4", "w7"), weights))
    assert dict(zip(folded.ids.tolist(), folded.weights.tolist(), strict=True)) == {
        term_id("w1"): 3.0,
        term_id("w7"): 0.5,
    }


def test_a_vector_of_canonical_terms_stays_as_it_is(tmp_path):
    folds = Folds.load(*opened(tmp_path))
    columns = Columns(ids("w1", "w7"), np.ones(2, dtype=np.float32))
    assert folds.fold(columns) is columns


@given(st.lists(st.integers(0, 9), min_size=10, max_size=10), st.lists(st.integers(0, 9), max_size=30))
def test_folding_twice_is_folding_once(targets, text):
    canonical = np.asarray([target if targets[target] == target else NO_TERM for target in targets], dtype=np.int32)
    folds = Folds(canonical)
    once = folds.terms(np.asarray(text, dtype=np.int32))
    assert folds.terms(once).tolist() == once.tolist()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        orjson.dumps({"w1": 3}),
        orjson.dumps({"w1": "not in the vocabulary"}),
        orjson.dumps({"not in the vocabulary": "w1"}),
        orjson.dumps({"w1": "w2", "w2": "w3"}),
    ],
)
def test_a_file_that_folds_nothing_sensible(tmp_path, content):
    bundle, tokenizer = opened(tmp_path)
    bundle.file("folds.json").write_bytes(content)
    with pytest.raises(BundleCorrupt, match=r"folds\.json"):
        Folds.load(bundle, tokenizer)
