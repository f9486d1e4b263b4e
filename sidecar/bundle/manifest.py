"""`manifest.json`: everything that decides what a bundle's encodings mean."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from sidecar.bundle.names import CARD, FOLDS, GRAPH, MANIFEST, NAME_PATTERN, QUERY_WEIGHTS, TOKENIZER, is_inside
from sidecar.domain import ModelKind, Pruning, PruningType
from sidecar.errors import InvalidPruning, ManifestInvalid
from sidecar.validation import InvalidValue, first_invalid

__all__ = [
    "SCHEMA_VERSION",
    "Activation",
    "Expansion",
    "GraphPorts",
    "LexicalFloor",
    "Manifest",
    "ManifestDraft",
    "Pooling",
    "PruningRule",
    "Quantization",
    "QueryMode",
    "QueryTermFrequency",
    "ScoreActivation",
    "SpecialTokens",
]

SCHEMA_VERSION: Final = 1

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]


class Pooling(StrEnum):
    """How token logits become one weight per term: `max` (SPLADE v2 on), `sum` (SPLADE v1)."""

    MAX = "max"
    SUM = "sum"


class Activation(StrEnum):
    """Logit to weight. `log1p_log1p_relu` is the double logarithm of the l0 models (arXiv 2504.14839)."""

    LOG1P_RELU = "log1p_relu"
    LOG1P_LOG1P_RELU = "log1p_log1p_relu"
    RELU = "relu"


class Expansion(StrEnum):
    """Which terms a text may get: any of the vocabulary, or only its own (uniCOIL, DeepImpact)."""

    VOCABULARY = "vocabulary"
    OWN_TERMS = "own-terms"


class QueryMode(StrEnum):
    """How queries are encoded: by the graph, by an IDF table, or every own term with weight 1."""

    NEURAL = "neural"
    IDF = "idf"
    BINARY = "binary"


class QueryTermFrequency(StrEnum):
    """What an inference-free query makes of a term that it repeats: nothing, or the root of how often it has it.

    `presence` is what SPLADE-doc and its successors were published with. In a whole paragraph as a query, repetition
    tells the topic from what is only mentioned; the root keeps it from drowning everything else.
    """

    PRESENCE = "presence"
    SQUARE_ROOT = "square_root"


class SpecialTokens(StrEnum):
    """Whether [CLS], [SEP], [PAD] and the like may stay in a document's vector."""

    DROP_ALL = "drop_all"
    DROP_PAD = "drop_pad"
    KEEP = "keep"


class ScoreActivation(StrEnum):
    """Cross-encoder logit to score."""

    IDENTITY = "identity"
    SIGMOID = "sigmoid"


class Quantization(StrEnum):
    """Number format of the graph's matrix products."""

    FP32 = "fp32"
    INT8 = "int8"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_enum_values=False)


class PruningRule(_Frozen):
    """`domain.Pruning` as it stands in the manifest."""

    type: PruningType = PruningType.NONE
    value: float = 0.0

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        said = self.model_fields_set
        try:
            Pruning.of(self.type if "type" in said else None, self.value if "value" in said else None)
        except InvalidPruning as error:
            raise ValueError(error.message.rstrip(".")) from None
        return self

    def to_domain(self) -> Pruning:
        return Pruning(self.type, self.value)


class LexicalFloor(_Frozen):
    """BM25's term saturation of a text's own terms, times `weight`, added to a document's learned weights.

    weight * tf (k1 + 1) / (tf + k1 (1 - b + b length / average_length)) (Robertson & Zaragoza 2009), lengths in terms.
    With IDF as query weights the score is then BM25 plus what the model learned, in one field.
    """

    weight: float = Field(gt=0.0, le=16.0, allow_inf_nan=False)
    k1: float = Field(default=1.2, ge=0.0, le=10.0, allow_inf_nan=False)
    b: float = Field(default=0.75, ge=0.0, le=1.0, allow_inf_nan=False)
    average_length: float = Field(gt=0.0, allow_inf_nan=False)

    @property
    def largest(self) -> float:
        """What no term's floor exceeds, however often the text repeats it."""
        return self.weight * (self.k1 + 1)


class GraphPorts(_Frozen):
    """Names of the graph's inputs and of its one output.

    The output is [batch, vocabulary] weights (expansion `vocabulary`; pooled and activated in the graph), or
    [batch, length] weights per token (`own-terms`), or [batch, 1] logits (cross-encoders). `output_kind` is
    `token_logits` for a foreign graph that gives [batch, length, vocabulary]: pooled outside, at a price in memory.
    """

    input_ids: str = "input_ids"
    attention_mask: str | None = "attention_mask"
    token_type_ids: str | None = None
    output: str = "weights"
    output_kind: Literal["weights", "token_weights", "token_logits", "score_logits"] = "weights"


class ManifestDraft(_Frozen):
    """A manifest before the files are written and hashed: what the maker of a bundle declares."""

    schema_version: Literal[1] = SCHEMA_VERSION
    name: Name
    kind: ModelKind
    license: str = Field(min_length=1)
    source: str = Field(min_length=1, description="where the weights come from: repository, revision, or recipe")
    base_model: str | None = None
    max_tokens: int = Field(ge=3, le=32_768, description="special tokens included")
    query_max_tokens: int | None = Field(default=None, ge=3, le=32_768)
    vocabulary_size: int = Field(ge=2)
    quantization: Quantization = Quantization.FP32
    graph: GraphPorts | None = None

    pooling: Pooling | None = None
    activation: Activation | None = None
    expansion: Expansion | None = None
    query_mode: QueryMode | None = None
    missing_idf: float | None = Field(default=None, ge=0.0, allow_inf_nan=False)
    query_term_frequency: QueryTermFrequency | None = None
    special_tokens: SpecialTokens | None = None
    document_pruning: PruningRule | None = None
    query_pruning: PruningRule | None = None
    observed_max_weight: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)
    lexical_floor: LexicalFloor | None = None

    score_activation: ScoreActivation | None = None

    @classmethod
    def declare(cls, values: Mapping[str, object]) -> Self:
        """Make a draft of what was declared; raise ManifestInvalid naming the first value that is wrong."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            problem = first_invalid(error)
            where = f"{problem.where}: " if problem.where else ""
            raise ManifestInvalid(
                f"This makes no bundle: {where}{problem.what}.", field=problem.where or None
            ) from None

    @model_validator(mode="after")
    def _kind_is_complete(self) -> Self:
        sparse = (self.pooling, self.activation, self.expansion, self.query_mode, self.special_tokens)
        if self.kind is ModelKind.SPARSE_ENCODER:
            if None in sparse:
                raise ValueError("a sparse-encoder names pooling, activation, expansion, query_mode, special_tokens")
            if self.query_mode is QueryMode.IDF and self.missing_idf is None:
                raise ValueError("query_mode idf needs missing_idf")
            if self.query_term_frequency is not None and self.query_mode is QueryMode.NEURAL:
                raise ValueError("query_term_frequency belongs to inference-free queries")
            if self.score_activation is not None:
                raise ValueError("score_activation belongs to cross-encoders")
        else:
            if self.lexical_floor is not None:
                raise ValueError("lexical_floor belongs to sparse-encoders")
            if self.query_term_frequency is not None:
                raise ValueError("query_term_frequency belongs to sparse-encoders")
            if any(value is not None for value in sparse):
                raise ValueError("pooling, activation, expansion, query_mode, special_tokens belong to sparse-encoders")
            if self.score_activation is None:
                raise ValueError("a cross-encoder names its score_activation")
        if self.graph is None and (self.kind is ModelKind.CROSS_ENCODER or self.query_mode is QueryMode.NEURAL):
            raise ValueError("only an inference-free query encoder has no graph")
        return self


class Manifest(ManifestDraft):
    """The identity of a bundle. Unknown keys are refused; absent optional keys do not enter the fingerprint."""

    files: dict[str, Sha256]

    @model_validator(mode="after")
    def _files_are_complete(self) -> Self:
        if self.query_mode is QueryMode.IDF and QUERY_WEIGHTS not in self.files:
            raise ValueError("query_mode idf needs query_weights.json")
        if FOLDS in self.files and self.kind is not ModelKind.SPARSE_ENCODER:
            raise ValueError("folds.json belongs to sparse-encoders")
        if (self.graph is None) != (GRAPH not in self.files):
            raise ValueError("graph and model.onnx come together")
        if TOKENIZER not in self.files:
            raise ValueError("tokenizer.json is missing from files")
        if not all(path != MANIFEST and is_inside(path) for path in self.files):
            raise ValueError("files are named relative to the bundle, and do not list the manifest")
        return self

    @classmethod
    def parse(cls, data: bytes, place: str = MANIFEST) -> Manifest:
        """Read a manifest; raise ManifestInvalid naming `place` and the key of it that is wrong."""
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            problems = error.errors(include_url=False, include_input=False)
            # A newer schema has keys unknown here: the version is what to name, whatever else is wrong.
            first = next((problem for problem in problems if problem["loc"] == ("schema_version",)), problems[0])
            problem = InvalidValue.of(dict(first))
            where, message = problem.where, problem.what
            if where == "schema_version":
                message = f"this sidecar reads version {SCHEMA_VERSION}; the bundle needs another release of it"
            key = f" at {where}" if where else ""
            raise ManifestInvalid(f"{place} is invalid{key}: {message}.", field=where or "manifest") from None

    def canonical(self) -> bytes:
        """Return the bytes the fingerprint is taken of: sorted keys, no white space, absent keys left out.

        The model card is left out: it changes no encoding, and mending a word in it must not orphan an index.
        """
        content = self._content()
        content["files"].pop(CARD, None)
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)

    def to_json(self) -> bytes:
        """Return the text of `manifest.json`, for people: indented, absent keys left out."""
        return orjson.dumps(self._content(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    def _content(self) -> dict[str, Any]:
        content = self.model_dump(mode="json", exclude_none=True)
        if self.graph is not None and self.graph.attention_mask is None:
            # The one key whose absence does not mean None.
            content["graph"]["attention_mask"] = None
        return content

    @property
    def fingerprint(self) -> str:
        """sha256 of the canonical manifest, in hex: identifies this bundle's encodings for ever."""
        return hashlib.sha256(self.canonical()).hexdigest()
