"""Bodies of the native routes, in and out: the JSON twins of the `sidecar.v1` messages."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, model_validator

from sidecar.domain import Lane, ModelInfo, ModelKind, Pruning, PruningType, Side, WindowPolicy, Windows

__all__ = [
    "Body",
    "EncodeAnswer",
    "EncodeBody",
    "EncodingAnswer",
    "ModelAnswer",
    "ModelsAnswer",
    "PruningBody",
    "Texts",
    "TimingsAnswer",
    "VectorAnswer",
    "WindowsBody",
]

Texts = Annotated[list[StrictStr], Field(fail_fast=True)]
"""A list of strings; the first item that is none ends the check, however many follow."""


class Body(BaseModel):
    """A frozen object of known keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _one_unknown_key(cls, data: object) -> object:
        # Each unknown key would become an error of its own, however many there are; one of them is told.
        known = {field.alias or name for name, field in cls.model_fields.items()}
        if not isinstance(data, dict) or len(data) <= len(known):
            return data
        unknown = next(key for key in data if key not in known)
        return {key: value for key, value in data.items() if key in known or key == unknown}


class PruningBody(Body):
    """How vectors are thinned; neural-search's names and semantics."""

    type: PruningType
    value: StrictFloat = Field(default=0.0, description="Ratio, threshold, count or mass, as the type says.")

    def to_domain(self) -> Pruning:
        """Raises InvalidPruning if the value is out of the type's range."""
        return Pruning(self.type, self.value)


class WindowsBody(Body):
    """How a text longer than the model is read."""

    policy: WindowPolicy = WindowPolicy.TRUNCATE
    stride: StrictInt = Field(default=0, description="Tokens between windows' starts; 0: three quarters of a window.")
    max_windows: StrictInt = Field(default=32, description="What lies beyond is not read, and `truncated` is set.")

    def to_domain(self) -> Windows:
        """Raises InvalidInput if a number is out of range."""
        return Windows(self.policy, self.stride, self.max_windows)


class EncodeBody(Body):
    """A batch of any size; the sidecar splits it. One unusable text fails the call, naming its position."""

    texts: Texts
    side: Side = Side.DOCUMENT
    model: StrictStr | None = Field(default=None, description="Absent: the default sparse encoder.")
    pruning: PruningBody | None = Field(default=None, description="Absent: the model's default for this side.")
    windows: WindowsBody = WindowsBody()
    lane: Lane = Field(default=Lane.INTERACTIVE, description="`bulk` for work nobody waits for.")
    return_terms: StrictBool = Field(default=False, description="Also the vocabulary's strings.")
    expected_fingerprint: StrictStr | None = Field(default=None, description="409 unless the model has it.")


class VectorAnswer(Body):
    """Packed columns of equal length, in descending order of weight."""

    term_ids: list[int]
    weights: list[float]
    terms: list[str] = Field(default=[], description="Only with `return_terms`.")


class EncodingAnswer(Body):
    """One encoded text."""

    vector: VectorAnswer
    truncated: bool = Field(description="Some of the text was not read.")
    windows: int
    tokens: int = Field(description="Tokens read, special ones not counted.")
    repetition: list[float] = Field(
        default=[], description="What each weight was multiplied by because the query repeats the term; empty: nothing."
    )


class TimingsAnswer(Body):
    """Where the time went, in microseconds."""

    tokenize_us: int
    queue_us: int
    inference_us: int
    total_us: int


class EncodeAnswer(Body):
    """One encoding per text, in the order of the texts."""

    encodings: list[EncodingAnswer]
    model: str
    fingerprint: str
    timings: TimingsAnswer


class PruningAnswer(Body):
    """A model's default pruning."""

    type: PruningType
    value: float


class ModelAnswer(Body):
    """A model that is served."""

    name: str
    kind: ModelKind
    fingerprint: str
    license: str
    base_model: str | None
    max_tokens: int
    vocabulary_size: int
    query_mode: str | None
    quantization: str
    is_default: bool = Field(description="Used where a call names no model of this kind.")
    document_pruning: PruningAnswer | None

    @classmethod
    def of(cls, model: ModelInfo) -> ModelAnswer:
        """Translate."""
        pruning = model.document_pruning
        return cls(
            name=model.name,
            kind=model.kind,
            fingerprint=model.fingerprint,
            license=model.license,
            base_model=model.base_model,
            max_tokens=model.max_tokens,
            vocabulary_size=model.vocabulary_size,
            query_mode=model.query_mode,
            quantization=model.quantization,
            is_default=model.is_default,
            document_pruning=None if pruning is None else PruningAnswer(type=pruning.type, value=pruning.value),
        )


class ModelsAnswer(Body):
    """All models."""

    models: list[ModelAnswer]
