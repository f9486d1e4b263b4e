"""Packed files of documents: gzip is read as it is, other ways of packing are refused by their names."""

from __future__ import annotations

import gzip
import io
import threading
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING

from sidecar.errors import InvalidInput

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["check_packing", "is_packed", "plain_name", "unpacked"]

GZIP = ".gz"

NOT_READ = frozenset({".7z", ".br", ".bz2", ".lz4", ".rar", ".tar", ".tgz", ".xz", ".z", ".zip", ".zst"})
"""Endings of what has to be unpacked before."""

PARQUET = "parquet"


def is_packed(file: Path) -> bool:
    """Whether the file is read through gzip."""
    return file.suffix.lower() == GZIP


def plain_name(file: Path) -> Path:
    """Return the file's name as it is called unpacked."""
    return file.with_suffix("") if is_packed(file) else file


def check_packing(file: Path, kind: str | None = None) -> None:
    """Raise InvalidInput where the name says that the file is packed in a way that is not read.

    `kind` is what is in it (see `SourceFormat`); None: what its name says.
    """
    ending = plain_name(file).suffix.lower()
    if ending in NOT_READ:
        raise InvalidInput(
            f"{file} is packed ({ending}), and only {GZIP} files are read as they are: unpack it first.",
            field="documents",
        )
    if is_packed(file) and (kind or ending.removeprefix(".")) == PARQUET:
        raise InvalidInput(
            f"{file} is Parquet in gzip, and Parquet's table of contents is at its end: unpack it (gunzip).",
            field="documents",
        )


def unpacked(stream: IO[bytes], file: Path, ended: threading.Event | None = None) -> IO[bytes]:
    """Return what is packed in `stream`; reading it raises InvalidInput where that is damaged or no gzip at all.

    Once `ended` is set, what is missing of it is nobody's fault.
    """
    return io.BufferedReader(_Unpacked(stream, file, ended))


class _Unpacked(io.RawIOBase):
    def __init__(self, stream: IO[bytes], file: Path, ended: threading.Event | None) -> None:
        super().__init__()
        self._stream = gzip.GzipFile(fileobj=stream, mode="rb")
        self._file = file
        self._ended = ended

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        try:
            data = self._stream.read1(len(view))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            if self._ended is not None and self._ended.is_set():
                return 0
            why = "it is cut off" if isinstance(error, EOFError) else "it is damaged, or no gzip file"
            raise InvalidInput(f"{self._file} can't be unpacked: {why}.", field="documents") from error
        view[: len(data)] = data
        return len(data)
