"""Responses: encodings, rankings and models, and their protobuf forms."""

from __future__ import annotations

from sidecar.contract.calls import pruning_from_proto, pruning_to_proto
from sidecar.domain import (
    EncodeResult,
    Encoding,
    ModelInfo,
    ModelKind,
    RankedDocument,
    RerankResult,
    SparseVector,
    Timings,
)
from sidecar.v1 import sidecar_pb2 as pb

__all__ = [
    "read_encode_response",
    "read_model",
    "read_rerank_response",
    "write_encode_response",
    "write_model",
    "write_rerank_response",
]


def write_encode_response(result: EncodeResult) -> pb.EncodeResponse:
    """Write the answer to an encode call: packed columns per text, in the order of the texts."""
    message = pb.EncodeResponse(
        model=result.model, fingerprint=result.fingerprint, timings=_write_timings(result.timings)
    )
    for encoding in result.encodings:
        vector = encoding.vector
        message.encodings.add(
            vector=pb.SparseVector(term_ids=vector.term_ids, weights=vector.weights, terms=vector.terms),
            truncated=encoding.truncated,
            windows=encoding.windows,
            tokens=encoding.tokens,
            repetition=encoding.repetition,
        )
    return message


def read_encode_response(message: pb.EncodeResponse) -> EncodeResult:
    """Read the answer to an encode call."""
    return EncodeResult(
        encodings=tuple(
            Encoding(
                vector=SparseVector(
                    tuple(encoding.vector.term_ids), tuple(encoding.vector.weights), tuple(encoding.vector.terms)
                ),
                truncated=encoding.truncated,
                windows=encoding.windows,
                tokens=encoding.tokens,
                repetition=tuple(encoding.repetition),
            )
            for encoding in message.encodings
        ),
        model=message.model,
        fingerprint=message.fingerprint,
        timings=_read_timings(message.timings),
    )


def write_rerank_response(result: RerankResult) -> pb.RerankResponse:
    """Write the answer to a rerank call."""
    message = pb.RerankResponse(
        model=result.model, fingerprint=result.fingerprint, timings=_write_timings(result.timings)
    )
    for ranked in result.results:
        message.results.add(
            index=ranked.index,
            score=ranked.score,
            logit=ranked.logit,
            truncated=ranked.truncated,
            windows=ranked.windows,
        )
    return message


def read_rerank_response(message: pb.RerankResponse) -> RerankResult:
    """Read the answer to a rerank call."""
    return RerankResult(
        results=tuple(
            RankedDocument(
                index=ranked.index,
                score=ranked.score,
                logit=ranked.logit,
                truncated=ranked.truncated,
                windows=ranked.windows,
            )
            for ranked in message.results
        ),
        model=message.model,
        fingerprint=message.fingerprint,
        timings=_read_timings(message.timings),
    )


def write_model(model: ModelInfo) -> pb.Model:
    """Write a model's description; what a model of its kind does not have stays empty."""
    return pb.Model(
        name=model.name,
        kind=model.kind,
        fingerprint=model.fingerprint,
        license=model.license,
        base_model=model.base_model or "",
        max_tokens=model.max_tokens,
        vocabulary_size=model.vocabulary_size,
        query_mode=model.query_mode or "",
        quantization=model.quantization,
        is_default=model.is_default,
        document_pruning=pruning_to_proto(model.document_pruning) if model.document_pruning is not None else None,
    )


def read_model(message: pb.Model) -> ModelInfo:
    """Read a model's description."""
    return ModelInfo(
        name=message.name,
        kind=ModelKind(message.kind),
        fingerprint=message.fingerprint,
        license=message.license,
        base_model=message.base_model or None,
        max_tokens=message.max_tokens,
        vocabulary_size=message.vocabulary_size,
        query_mode=message.query_mode or None,
        quantization=message.quantization,
        is_default=message.is_default,
        document_pruning=pruning_from_proto(message.document_pruning) if message.HasField("document_pruning") else None,
    )


def _write_timings(timings: Timings) -> pb.Timings:
    return pb.Timings(
        tokenize_us=timings.tokenize_us,
        queue_us=timings.queue_us,
        inference_us=timings.inference_us,
        total_us=timings.total_us,
    )


def _read_timings(message: pb.Timings) -> Timings:
    return Timings(
        tokenize_us=message.tokenize_us,
        queue_us=message.queue_us,
        inference_us=message.inference_us,
        total_us=message.total_us,
    )
