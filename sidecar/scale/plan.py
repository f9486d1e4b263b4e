"""What is encoded, by what, and where it goes: plain values, which travel to every machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sidecar.domain import WHOLE_TEXT, JsonObject, Windows
from sidecar.engine import require_one_name
from sidecar.errors import InvalidInput

__all__ = ["Cluster", "FromFiles", "FromIndex", "ScalePlan", "ToIndex", "ToParquet"]


@dataclass(frozen=True, slots=True)
class Cluster:
    """How the machines reach the search cluster. Password and key are never printed.

    With `aws_region`, each machine signs with the credentials that AWS's tools find there.
    """

    url: str
    user: str | None = None
    password: str | None = None
    ca_certificates: Path | None = None
    verify_certificates: bool = True
    api_key: str | None = None
    aws_region: str | None = None
    aws_service: str = "es"

    def __repr__(self) -> str:
        return f"Cluster({self.url!r})"


@dataclass(frozen=True, slots=True)
class FromFiles:
    """Documents out of files that every machine sees under the same path.

    JSON lines are cut into parts of about `part_bytes`, which are read side by side; CSV and Parquet are read a file at
    a time.
    """

    paths: tuple[Path, ...]
    id_field: str = "_id"
    part_bytes: int = 67_108_864

    def __post_init__(self) -> None:
        if not self.paths:
            raise InvalidInput("Name at least one file.", field="documents")
        if self.part_bytes < 1:
            raise InvalidInput("A part has at least one byte.", field="part_bytes")


@dataclass(frozen=True, slots=True)
class FromIndex:
    """Documents out of an index, read in so many slices side by side."""

    cluster: Cluster
    index: str
    slices: int = 8
    where: JsonObject | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.slices <= 1024:
            raise InvalidInput("An index is read in 1 to 1024 slices.", field="slices")


@dataclass(frozen=True, slots=True)
class ToParquet:
    """Parquet files in an empty folder: `id`, `text_hash`, `terms`, `weights`, `truncated`, `document` (JSON)."""

    folder: Path


@dataclass(frozen=True, slots=True)
class ToIndex:
    """Whole documents into an index that `sidecar setup` prepared for the same model."""

    cluster: Cluster
    index: str

    def __post_init__(self) -> None:
        require_one_name(self.index)


@dataclass(frozen=True, slots=True)
class ScalePlan:
    """One run. `workers` actors of `threads` each encode `batch_documents` at a time; 0 workers: all there is room for.

    `bundle` lies under the same path on every machine. `address` is the Ray cluster's, None: one on this machine.
    """

    source: FromFiles | FromIndex
    sink: ToParquet | ToIndex
    bundle: Path
    source_fields: tuple[str, ...] = ("title", "text")
    workers: int = 0
    threads: int = 1
    batch_documents: int = 256
    windows: Windows = WHOLE_TEXT
    max_text_bytes: int = 1_048_576
    address: str | None = None

    def __post_init__(self) -> None:
        if self.workers < 0 or self.threads < 1 or self.batch_documents < 1:
            raise InvalidInput("Threads and documents per batch are at least 1.", field="workers")
        if (
            isinstance(self.source, FromIndex)
            and isinstance(self.sink, ToIndex)
            and self.source.index == self.sink.index
        ):
            raise InvalidInput(
                "An index is brought up to date in place by `sidecar reconcile`, which overwrites no newer write.",
                field="index",
            )
