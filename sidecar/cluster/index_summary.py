"""How `sidecar index` takes documents through, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.domain import WHOLE_TEXT, Windows

__all__ = ["IndexOptions", "IndexSummary"]


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """How documents are taken through. Sizes: documents and characters per batch, batches under way, bytes per text.

    A text of more than `max_text_bytes` goes to the dead letters: keep it at what the sidecar accepts.
    """

    windows: Windows = WHOLE_TEXT
    batch_documents: int = 32
    batch_characters: int = 65_536
    in_flight: int = 8
    queued_batches: int = 16
    max_text_bytes: int = 1_048_576
    write_documents: int = 500
    refresh: bool = True


@dataclass(frozen=True, slots=True)
class IndexSummary:
    """What became of the documents: `read` = `written` + `failed` + `left`.

    `failed` are in the dead letters; `left` were read and not tried, because the run was cut short. `encoded`,
    `without_vector` (no text) and `truncated` count documents on their way, `seconds` the whole run.
    """

    read: int = 0
    encoded: int = 0
    written: int = 0
    without_vector: int = 0
    truncated: int = 0
    failed: int = 0
    seconds: float = 0.0

    @property
    def left(self) -> int:
        """Documents that were read, and neither written nor put aside."""
        return self.read - self.written - self.failed

    @property
    def documents_per_second(self) -> float:
        """Documents written per second."""
        return self.written / self.seconds if self.seconds > 0 else 0.0
