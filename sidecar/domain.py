"""Value objects that every room shares. Frozen, free of numpy and of any transport."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self, TypeAlias

from sidecar.errors import InvalidInput, InvalidPruning

__all__ = [
    "WHOLE_TEXT",
    "Candidate",
    "Document",
    "EncodeResult",
    "Encoding",
    "JsonObject",
    "JsonValue",
    "Lane",
    "ModelInfo",
    "ModelKind",
    "Pruning",
    "PruningType",
    "Query",
    "RankedDocument",
    "RerankResult",
    "Side",
    "SparseVector",
    "Timings",
    "WindowPolicy",
    "Windows",
    "as_object",
]

JsonValue: TypeAlias = "str | int | float | bool | Sequence[JsonValue] | Mapping[str, JsonValue] | None"
JsonObject: TypeAlias = Mapping[str, JsonValue]


def as_object(value: JsonValue) -> JsonObject:
    """Return a part of somebody else's JSON where it is an object; of anything else, an empty one."""
    return value if isinstance(value, Mapping) else {}


class ModelKind(StrEnum):
    """What a model does."""

    SPARSE_ENCODER = "sparse-encoder"
    CROSS_ENCODER = "cross-encoder"


class Side(StrEnum):
    """Which side of retrieval a text stands on."""

    QUERY = "query"
    DOCUMENT = "document"


class Lane(StrEnum):
    """Who waits for whom: interactive queries first, then reranking, then bulk, which never starves."""

    INTERACTIVE = "interactive"
    RERANK = "rerank"
    BULK = "bulk"


class PruningType(StrEnum):
    """How a vector is thinned; names and semantics are neural-search's (`PruneUtils.java`)."""

    NONE = "none"
    MAX_RATIO = "max_ratio"
    ABS_VALUE = "abs_value"
    TOP_K = "top_k"
    ALPHA_MASS = "alpha_mass"


class WindowPolicy(StrEnum):
    """What happens to a text longer than the model reads."""

    TRUNCATE = "truncate"
    SLIDE = "slide"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Pruning:
    """A pruning rule; refuses values out of range when it is made.

    Usage:
        Pruning()                                   # keep everything
        Pruning(PruningType.MAX_RATIO, 0.1)         # weight >= 0.1 * largest
        Pruning(PruningType.TOP_K, 128)             # the 128 largest
    """

    type: PruningType = PruningType.NONE
    value: float = 0.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise InvalidPruning("The pruning value must be a finite number.", field="pruning.value")
        match self.type:
            case PruningType.NONE:
                return
            case PruningType.MAX_RATIO | PruningType.ALPHA_MASS:
                if not 0.0 <= self.value < 1.0:
                    raise InvalidPruning(f"{self.type} needs a value in [0, 1).", field="pruning.value")
            case PruningType.ABS_VALUE:
                if self.value <= 0.0:
                    raise InvalidPruning("abs_value needs a value > 0.", field="pruning.value")
            case PruningType.TOP_K:
                if self.value < 1 or self.value != int(self.value):
                    raise InvalidPruning("top_k needs a whole number >= 1.", field="pruning.value")

    @classmethod
    def of(cls, type: PruningType | None, value: float | None) -> Self:
        """Make a rule of what a file says of it (None: nothing).

        Raises InvalidPruning for a value out of range, and for half a rule, which would prune nothing, silently.
        """
        if type is None and value:
            raise InvalidPruning(f"a value needs its type: one of {', '.join(PruningType)}.", field="pruning.type")
        if value is None and type not in (None, PruningType.NONE):
            raise InvalidPruning(f"{type} needs a value.", field="pruning.value")
        return cls(type or PruningType.NONE, value or 0.0)


LARGEST_NUMBER = 2**32 - 1
"""What the contract has room for, whichever port a call comes in by."""


@dataclass(frozen=True, slots=True)
class Windows:
    """How a long text is read. `stride` counts tokens from one window's start to the next (0: three quarters)."""

    policy: WindowPolicy = WindowPolicy.TRUNCATE
    stride: int = 0
    max_windows: int = 32

    def __post_init__(self) -> None:
        if self.stride < 0:
            raise InvalidInput("The window stride must be >= 0 tokens.", field="windows.stride")
        if self.max_windows < 1:
            raise InvalidInput("At least one window must be read.", field="windows.max_windows")
        for name, value in (("stride", self.stride), ("max_windows", self.max_windows)):
            if value > LARGEST_NUMBER:
                raise InvalidInput(f"windows.{name} is at most {LARGEST_NUMBER:,}.", field=f"windows.{name}")


WHOLE_TEXT = Windows(WindowPolicy.SLIDE)
"""How documents are read on their way into an index: docs/decisions/long-documents.md says why."""


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Impacts of a text's terms, in descending order of weight (ties: ascending term id); finite and > 0.

    `terms` holds the vocabulary's strings in the same order, or is empty where they were not asked for.
    """

    term_ids: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()
    terms: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.term_ids) != len(self.weights) or (self.terms and len(self.terms) != len(self.weights)):
            raise ValueError("The columns of a sparse vector differ in length.")

    def __len__(self) -> int:
        return len(self.term_ids)

    def __iter__(self) -> Iterator[tuple[int, float]]:
        return iter(zip(self.term_ids, self.weights, strict=True))

    def by_term(self) -> dict[str, float]:
        """Return `{term: weight}`; needs `terms`."""
        if len(self.terms) != len(self.weights):
            raise ValueError("This vector was encoded without its terms: ask for them.")
        return dict(zip(self.terms, self.weights, strict=True))

    def dot(self, other: SparseVector) -> float:
        """Return the exact inner product."""
        mine = dict(self)
        return math.fsum(weight * mine[term_id] for term_id, weight in other if term_id in mine)


@dataclass(frozen=True, slots=True)
class Encoding:
    """One encoded text: its vector, and how much of the text was read.

    `repetition` says by what each of the vector's weights was multiplied because the query repeats the term; empty
    where nothing was.
    """

    vector: SparseVector
    truncated: bool = False
    windows: int = 1
    tokens: int = 0
    repetition: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.repetition and len(self.repetition) != len(self.vector):
            raise ValueError("An encoding has one factor of repetition per term, or none.")


@dataclass(frozen=True, slots=True)
class RankedDocument:
    """One reranked document: `index` is its position in the request, `logit` the score before activation."""

    index: int
    score: float
    logit: float
    truncated: bool = False
    windows: int = 1


@dataclass(frozen=True, slots=True)
class Timings:
    """Where a call's time went, in microseconds."""

    tokenize_us: int = 0
    queue_us: int = 0
    inference_us: int = 0
    total_us: int = 0


@dataclass(frozen=True, slots=True)
class EncodeResult:
    """The answer to one encode call: one encoding per text, in the order of the texts."""

    encodings: tuple[Encoding, ...]
    model: str
    fingerprint: str
    timings: Timings = Timings()


@dataclass(frozen=True, slots=True)
class RerankResult:
    """The answer to one rerank call: every document, by descending score, ties by index."""

    results: tuple[RankedDocument, ...]
    model: str
    fingerprint: str
    timings: Timings = Timings()


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that a sidecar serves. `query_mode` and `document_pruning` are None for cross-encoders."""

    name: str
    kind: ModelKind
    fingerprint: str
    license: str
    max_tokens: int
    vocabulary_size: int
    quantization: str
    is_default: bool = False
    base_model: str | None = None
    query_mode: str | None = None
    document_pruning: Pruning | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A document of a collection or index: its id and its fields as they are stored."""

    id: str
    fields: Mapping[str, object] = field(default_factory=dict)

    def text(self, names: tuple[str, ...]) -> str:
        """Join the string fields called `names` with a space; missing and empty ones are left out."""
        parts: list[str] = []
        for name in names:
            value = self.fields.get(name)
            values = value if isinstance(value, list) else [value]
            parts.extend(part.strip() for part in values if isinstance(part, str) and part.strip())
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Query:
    """A query of a collection."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document on its way through the ranking: what each stage gave it. None: that stage did not score it.

    `index` is the concrete index that it lies in, and `routing` what it was written with: behind an alias, and behind
    several routings, several documents may have one id.
    """

    id: str
    source: Mapping[str, object] = field(default_factory=dict)
    score: float = 0.0
    lexical_score: float | None = None
    sparse_score: float | None = None
    first_stage_score: float | None = None
    rerank_score: float | None = None
    index: str = ""
    routing: str | None = None
