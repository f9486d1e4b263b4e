"""The lexical floor is BM25: with IDF as query weights, documents are ranked as BM25 ranks them."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from pydantic import ValidationError

from sidecar.bundle.manifest import LexicalFloor
from sidecar.domain import Pruning, Side
from sidecar.errors import ManifestInvalid
from sidecar.inference.lexical_floor import FloorOfTerms, load_floor
from sidecar.inference.service import InferenceService
from sidecar.inference.tokens import TextTokenizer
from sidecar.settings import Settings
from tests.unit.inference.graphs import WORDS, expected_weights, sparse_bundle, table, term_id

FLOOR = LexicalFloor(weight=0.7, k1=1.2, b=0.75, average_length=4.0)
GIVEN = {"weight": 0.7, "k1": 1.2, "b": 0.75, "average_length": 4.0}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    bundle = sparse_bundle(tmp_path_factory.mktemp("floor"), kind="none", query_weights={"w1": 1.0})
    return TextTokenizer(bundle.file("tokenizer.json"))


def saturation(count, length, floor=FLOOR):
    norm = floor.k1 * (1 - floor.b + floor.b * length / floor.average_length)
    return floor.weight * count * (floor.k1 + 1) / (count + norm)


def test_saturation_of_own_terms(tokenizer):
    columns = FloorOfTerms(FLOOR, None, tokenizer)(tokenizer.ids("w1 w2 w1 w1 [SEP] nonsense"))
    assert dict(zip(columns.ids.tolist(), columns.weights.tolist(), strict=True)) == pytest.approx(
        {term_id("w1"): saturation(3, 4), term_id("w2"): saturation(1, 4)}, rel=1e-6
    )


@given(st.lists(st.sampled_from(WORDS), max_size=60))
def test_it_grows_with_the_count_and_never_passes_its_bound(tokenizer, words):
    columns = FloorOfTerms(FLOOR, None, tokenizer)(tokenizer.ids(" ".join(words)))
    assert set(columns.ids.tolist()) == {term_id(word) for word in words}
    assert all(0 < weight < FLOOR.largest for weight in columns.weights.tolist())
    order = sorted(zip((words.count(WORDS[i - 5]) for i in columns.ids.tolist()), columns.weights, strict=True))
    assert [weight for _, weight in order] == sorted(columns.weights)


async def test_a_document_is_what_was_learned_plus_its_floor(tmp_path):
    bundle = sparse_bundle(tmp_path, folds={"w9": "w1"}, lexical_floor=GIVEN, query_weights={"w1": 1.5})
    service = InferenceService.load([bundle], Settings())
    try:
        answer = await service.encode(["w9 w2 w1"], side=Side.DOCUMENT, pruning=Pruning())
        query = await service.encode(["w9 w2"], side=Side.QUERY)
    finally:
        service.close()
    vector = dict(answer.encodings[0].vector)
    ids = [2, *(term_id(word) for word in ("w9", "w2", "w1")), 3]
    learned = expected_weights(ids, table())
    expected = {index: float(weight) for index, weight in enumerate(learned) if weight > 0 and index >= 5}
    expected[term_id("w1")] = max(expected.pop(term_id("w9"), 0.0), expected.get(term_id("w1"), 0.0)) + saturation(2, 3)
    expected[term_id("w2")] = expected.get(term_id("w2"), 0.0) + saturation(1, 3)
    assert vector == pytest.approx(expected, rel=1e-4)
    assert dict(query.encodings[0].vector) == {term_id("w1"): 1.5, term_id("w2"): 1.0}, "queries have no floor"


async def test_the_floor_reads_what_the_model_does_not(tmp_path):
    """A text of twelve tokens before a model of eight: BM25 still knows the last of them."""
    bundle = sparse_bundle(tmp_path, matrix=np.full_like(table(), -1.0), lexical_floor=GIVEN, max_tokens=8)
    service = InferenceService.load([bundle], Settings())
    try:
        words = [f"w{number}" for number in range(12)]
        answer = await service.encode([" ".join(words)], side=Side.DOCUMENT, pruning=Pruning())
    finally:
        service.close()
    encoding = answer.encodings[0]
    assert encoding.truncated
    assert sorted(encoding.vector.term_ids) == [term_id(word) for word in words]
    assert all(math.isclose(weight, saturation(1, 12), rel_tol=1e-5) for weight in encoding.vector.weights)


def test_a_bundle_without_a_floor(tmp_path, tokenizer):
    assert load_floor(sparse_bundle(tmp_path), tokenizer) is None


@pytest.mark.parametrize("wrong", [{"weight": 0.0}, {"b": 1.5}, {"k1": -1.0}, {"average_length": 0.0}, {"other": 1}])
def test_values_out_of_range(wrong):
    with pytest.raises(ValidationError):
        LexicalFloor.model_validate(GIVEN | wrong)


def test_a_cross_encoder_has_no_floor():
    from tests.support.bundles import CROSS_ENCODER

    with pytest.raises(ManifestInvalid, match="lexical_floor"):
        type(CROSS_ENCODER).declare(CROSS_ENCODER.model_dump() | {"lexical_floor": GIVEN})
