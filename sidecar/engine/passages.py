"""What an index says of its passages, and what a passage of a text is."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.domain import SparseVector
from sidecar.errors import InvalidInput

__all__ = ["MAX_PASSAGES", "EncodedPassage", "Passage", "PassageRule"]

MAX_PASSAGES = 1_000
"""Of one document; a cluster takes 10,000 nested objects by default (`index.mapping.nested_objects.limit`)."""


@dataclass(frozen=True, slots=True)
class PassageRule:
    """How a document's text is cut: passages of `words`, one beginning every `stride` words, at most `limit` of them.

    A stride of less than `words` makes passages overlap. Refuses values that would leave text between two passages.
    """

    words: int = 150
    stride: int = 75
    limit: int = 64

    def __post_init__(self) -> None:
        if not 1 <= self.stride <= self.words:
            raise InvalidInput("A passage begins after 1 word to as many as a passage has.", field="passages.stride")
        if not 1 <= self.limit <= MAX_PASSAGES:
            raise InvalidInput(f"A document has 1 to {MAX_PASSAGES:,} passages.", field="passages.limit")


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a document's text; `start` counts characters (Unicode code points) from the text's beginning."""

    start: int
    text: str


@dataclass(frozen=True, slots=True)
class EncodedPassage:
    """A passage with its vector, terms included."""

    passage: Passage
    vector: SparseVector
