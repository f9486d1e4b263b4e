"""Responses survive the wire: float32 weights, empty vectors, models with and without what their kind has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.contract.answers import (
    read_encode_response,
    read_model,
    read_rerank_response,
    write_encode_response,
    write_model,
    write_rerank_response,
)
from sidecar.domain import (
    EncodeResult,
    Encoding,
    ModelInfo,
    ModelKind,
    Pruning,
    PruningType,
    RankedDocument,
    RerankResult,
    SparseVector,
    Timings,
)
from sidecar.v1 import sidecar_pb2 as pb

numbers = st.integers(0, 2**32 - 1)
float32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
timings = st.builds(Timings, *[st.integers(0, 2**63)] * 4)


@st.composite
def vectors(draw: st.DrawFn) -> SparseVector:
    size = draw(st.integers(0, 6))
    ids = draw(st.lists(numbers, min_size=size, max_size=size))
    weights = draw(st.lists(float32.filter(lambda weight: weight > 0), min_size=size, max_size=size))
    with_terms = draw(st.booleans())
    terms = draw(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=size, max_size=size))
    return SparseVector(tuple(ids), tuple(weights), tuple(terms) if with_terms else ())


@st.composite
def _encodings(draw: st.DrawFn) -> Encoding:
    vector = draw(vectors())
    factors = draw(st.lists(float32, min_size=len(vector), max_size=len(vector))) if draw(st.booleans()) else []
    return Encoding(vector, draw(st.booleans()), draw(numbers), draw(numbers), tuple(factors))


encodings = _encodings()


@given(st.builds(EncodeResult, st.lists(encodings, max_size=4).map(tuple), st.just("m"), st.just("f"), timings))
def test_encode_results_survive_the_wire(result: EncodeResult) -> None:
    sent = write_encode_response(result).SerializeToString()
    assert read_encode_response(pb.EncodeResponse.FromString(sent)) == result


ranked = st.builds(RankedDocument, numbers, float32, float32, st.booleans(), numbers)


@given(st.builds(RerankResult, st.lists(ranked, max_size=4).map(tuple), st.just("m"), st.just("f"), timings))
def test_rerank_results_survive_the_wire(result: RerankResult) -> None:
    sent = write_rerank_response(result).SerializeToString()
    assert read_rerank_response(pb.RerankResponse.FromString(sent)) == result


ENCODER = ModelInfo(
    name="encoder",
    kind=ModelKind.SPARSE_ENCODER,
    fingerprint="a" * 64,
    license="Apache-2.0",
    max_tokens=512,
    vocabulary_size=30_522,
    quantization="int8",
    is_default=True,
    base_model="base",
    query_mode="idf",
    document_pruning=Pruning(PruningType.MAX_RATIO, 0.1),
)
RERANKER = ModelInfo(
    name="reranker",
    kind=ModelKind.CROSS_ENCODER,
    fingerprint="b" * 64,
    license="MIT",
    max_tokens=256,
    vocabulary_size=30_522,
    quantization="fp32",
)


@pytest.mark.parametrize("model", [ENCODER, RERANKER])
def test_models_survive_the_wire(model: ModelInfo) -> None:
    assert read_model(pb.Model.FromString(write_model(model).SerializeToString())) == model


def test_no_pruning_is_not_the_same_as_an_unknown_default() -> None:
    never_prunes = ModelInfo("m", ModelKind.SPARSE_ENCODER, "f", "l", 1, 1, "fp32", document_pruning=Pruning())
    assert read_model(write_model(never_prunes)).document_pruning == Pruning()
    assert read_model(write_model(RERANKER)).document_pruning is None
