"""What an application asks of its writer, and what it is told of each document."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from sidecar.domain import WHOLE_TEXT, Windows
from sidecar.engine import BulkOperation
from sidecar.errors import InvalidInput

__all__ = ["Stage", "WriteMode", "WriteOutcome", "WriterOptions"]


WriteMode: TypeAlias = Literal[BulkOperation.INDEX, BulkOperation.CREATE]
"""INDEX replaces a document of the same id, CREATE refuses to (error type `version_conflict_engine_exception`)."""


class Stage(StrEnum):
    """Where a document failed."""

    ENCODE = "encode"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """What became of one document. `stage` None: it is written.

    `reason` is the sidecar's reason or the cluster's error type, `message` says what happened. `retriable`: the
    cluster was overloaded or away, or refused writes while an alias was switched, so that writing the same document
    again may succeed. `has_vector` is False for a document without text, `truncated` True where its text was longer
    than what the model reads, or than its passages may be in all.
    """

    id: str
    stage: Stage | None = None
    reason: str = ""
    message: str = ""
    retriable: bool = False
    has_vector: bool = False
    truncated: bool = False

    @property
    def written(self) -> bool:
        """Whether the cluster confirmed the write."""
        return self.stage is None


@dataclass(frozen=True, slots=True)
class WriterOptions:
    """How much is under way at once, over all calls of one writer, and how texts are read.

    `batch_documents` and `batch_characters` bound one request to the sidecar, `in_flight` how many batches of all calls
    are being encoded or written: a call beyond waits. `record_seconds` is how long what the index says of itself is
    believed.
    """

    windows: Windows = WHOLE_TEXT
    batch_documents: int = 32
    batch_characters: int = 65_536
    max_text_bytes: int = 1_048_576
    in_flight: int = 8
    record_seconds: float = 30.0

    def __post_init__(self) -> None:
        if min(self.batch_documents, self.batch_characters, self.max_text_bytes, self.in_flight) < 1:
            raise InvalidInput("Batches, texts and batches in flight have a size of at least 1.", field="options")
