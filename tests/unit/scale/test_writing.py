"""What one batch of a corpus says of itself once it is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson

from sidecar.domain import SparseVector
from sidecar.scale.columns import encoded_table
from sidecar.scale.encoder import EncodedRow
from sidecar.scale.plan import ToParquet
from sidecar.scale.run import _Write
from sidecar.scale.sinks import Letter

ROWS = [
    EncodedRow("a", b"{}", 1, "h", SparseVector((1, 2), (2.0, 1.0), ("x", "y")), truncated=True),
    EncodedRow("b", b"{}", 2, "h", SparseVector((1,), (2.0,), ("x",))),
    EncodedRow("c", b"{}", 3, "h"),
    EncodedRow("d", b"{}", 4, stage="encode", reason="TEXT_TOO_LARGE", message="too large"),
]


class Refusing:
    """A sink that refuses documents of these ids."""

    def __init__(self, *refused: str) -> None:
        self._refused = refused

    def write(self, rows: Sequence[EncodedRow]) -> list[Letter | None]:
        return [Letter.of(row, "write", "mapper", "no") if row.id in self._refused else None for row in rows]


def told(folder: Path, *refused: str) -> dict[str, object]:
    writer = _Write(ToParquet(folder), None, "f")
    writer._sink = Refusing(*refused)
    (row,) = writer(encoded_table(ROWS, 1.0)).to_pylist()
    return {**row, "letters": [letter["document_id"] for letter in orjson.loads(row["letters"])]}


def test_a_batch_counts_what_was_written_and_nothing_else(tmp_path: Path) -> None:
    sums = {"read": 4, "seconds": 1.0}
    every = {"written": 3, "failed": 1, "truncated": 1, "without_vector": 1, "terms": 3, "letters": ["d"]}
    assert told(tmp_path) == {**sums, **every}
    without_a = {"written": 2, "failed": 2, "truncated": 0, "without_vector": 1, "terms": 1, "letters": ["d", "a"]}
    assert told(tmp_path, "a") == {**sums, **without_a}
    without_c = {"written": 2, "failed": 2, "truncated": 1, "without_vector": 0, "terms": 3, "letters": ["d", "c"]}
    assert told(tmp_path, "c") == {**sums, **without_c}
