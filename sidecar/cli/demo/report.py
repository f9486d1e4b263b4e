"""What the demo found, as value objects: rendered for people, dumped as JSON for machines."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Answer", "Corpus", "Expansion", "Place", "Question", "Report", "WeightedTerm"]


@dataclass(frozen=True, slots=True)
class WeightedTerm:
    """A term of the vocabulary and its impact."""

    term: str
    weight: float


@dataclass(frozen=True, slots=True)
class Place:
    """One row of a ranking: `score` is the one that ranked it; `kind` is module, class, function or method."""

    rank: int
    id: str
    kind: str
    score: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What one profile answered: places in order, and where the milliseconds went (median over the repetitions)."""

    profile: str
    places: tuple[Place, ...]
    encode_ms: float
    retrieve_ms: float
    rerank_ms: float
    total_ms: float
    degraded: str | None


@dataclass(frozen=True, slots=True)
class Expansion:
    """How a document's vector came about: terms of its own text, and terms the encoder added."""

    document: str
    own: tuple[WeightedTerm, ...]
    added: tuple[WeightedTerm, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """One question, asked with every profile."""

    text: str
    query_terms: tuple[WeightedTerm, ...]
    answers: tuple[Answer, ...]
    expansion: Expansion | None


@dataclass(frozen=True, slots=True)
class Corpus:
    """What was indexed, and how fast: `seconds` is encoding and writing together."""

    documents: int
    seconds: float
    documents_per_second: float
    index_bytes: int
    terms_per_document: float


@dataclass(frozen=True, slots=True)
class Report:
    """Everything the demo showed; `encoder` and `reranker` are bundle names."""

    engine: str
    encoder: str
    encoder_fingerprint: str
    reranker: str
    corpus: Corpus
    questions: tuple[Question, ...]
    start_seconds: float
    total_seconds: float
