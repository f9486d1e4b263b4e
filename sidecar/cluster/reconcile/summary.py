"""What a reconciling run may do, and what it has done."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from sidecar.cluster.reconcile.pace import Limits
from sidecar.domain import WHOLE_TEXT, JsonObject, Windows
from sidecar.errors import InvalidInput

__all__ = ["ReconcileOptions", "ReconcileSummary"]


@dataclass(frozen=True, slots=True)
class ReconcileOptions:
    """How an index is gone through.

    `where` narrows the documents by a query; `changed` also compares the hashes of those that have a vector, which
    reads every text. `follow` watches on, every `interval` seconds, until it is stopped. `patience` is how many seconds
    cluster and sidecar may be away, with nothing done, before the run gives up. The rest: sizes, in documents,
    characters and batches.
    """

    slices: int = 1
    where: JsonObject | None = None
    changed: bool = True
    follow: bool = False
    interval: float = 30.0
    patience: float = 300.0
    limits: Limits = field(default_factory=Limits)
    windows: Windows = WHOLE_TEXT
    max_text_bytes: int = 1_048_576
    page_documents: int = 200
    batch_documents: int = 32
    batch_characters: int = 65_536
    in_flight: int = 8
    write_documents: int = 200

    def __post_init__(self) -> None:
        if not 1 <= self.slices <= 1024:
            raise InvalidInput("An index is read in 1 to 1024 slices.", field="slices")
        if not 1.0 <= self.interval <= 86_400.0:
            raise InvalidInput("The interval is 1 second to a day.", field="interval")
        if self.patience < 0.0:
            raise InvalidInput("The patience is a number of seconds.", field="patience")


@dataclass(frozen=True, slots=True)
class ReconcileSummary:
    """What became of the documents that needed a vector: `found` = `written` + `unneeded` + `gone` + `failed`.

    `missing`, `outdated` and `changed` say why they needed one. `unneeded` had the right vector when they were read
    again, `gone` were deleted in the meantime, `failed` are in the dead letters. `left` are those that changed faster
    than they could be written, or were turned away each time: another run will find them. `without_vector` (no text)
    and `truncated` count among the written. `scanned` documents were read, some more than once; `held_back` are the
    seconds that the cluster's signals have cost.
    """

    scanned: int = 0
    missing: int = 0
    outdated: int = 0
    changed: int = 0
    written: int = 0
    without_vector: int = 0
    truncated: int = 0
    unneeded: int = 0
    gone: int = 0
    failed: int = 0
    left: int = 0
    held_back: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: ReconcileSummary) -> ReconcileSummary:
        """Return the sums of both, of runs one after the other."""
        return ReconcileSummary(
            *(getattr(self, one.name) + getattr(other, one.name) for one in fields(ReconcileSummary))
        )

    @property
    def found(self) -> int:
        """Documents that needed a vector, and of which is known what became of them."""
        return self.missing + self.outdated + self.changed

    @property
    def documents_per_second(self) -> float:
        """Documents written per second."""
        return self.written / self.seconds if self.seconds > 0 else 0.0
