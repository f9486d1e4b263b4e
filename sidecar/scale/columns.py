"""Rows as Arrow tables, as they travel between the machines and lie in Parquet files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sidecar.domain import SparseVector
from sidecar.scale.encoder import EncodedRow
from sidecar.scale.reading import Row

if TYPE_CHECKING:
    import pyarrow

__all__ = ["encoded_rows", "encoded_table", "published_table", "rows"]


def rows(table: pyarrow.Table) -> list[Row]:
    """Read the rows that reading gave."""
    return [
        Row(one["id"], one["document"], one["line"], one["reason"] or "", one["message"] or "")
        for one in table.to_pylist()
    ]


def encoded_table(encoded: Sequence[EncodedRow], seconds: float) -> pyarrow.Table:
    """Return encoded rows with the seconds that they took, the same share for each."""
    import pyarrow

    share = seconds / len(encoded) if encoded else 0.0
    vectors = [one.vector for one in encoded]
    columns = {
        "id": pyarrow.array([one.id for one in encoded], pyarrow.string()),
        "document": pyarrow.array([one.document for one in encoded], pyarrow.binary()),
        "line": pyarrow.array([one.line for one in encoded], pyarrow.int64()),
        "text_hash": pyarrow.array([one.text_hash for one in encoded], pyarrow.string()),
        "terms": _lists([None if one is None else one.terms for one in vectors], pyarrow.string()),
        "term_ids": _lists([None if one is None else one.term_ids for one in vectors], pyarrow.int32()),
        "weights": _lists([None if one is None else one.weights for one in vectors], pyarrow.float32()),
        "truncated": pyarrow.array([one.truncated for one in encoded], pyarrow.bool_()),
        "stage": pyarrow.array([one.stage for one in encoded], pyarrow.string()),
        "reason": pyarrow.array([one.reason for one in encoded], pyarrow.string()),
        "message": pyarrow.array([one.message for one in encoded], pyarrow.string()),
        "seconds": pyarrow.array([share] * len(encoded), pyarrow.float64()),
    }
    return pyarrow.table(columns)


def encoded_rows(table: pyarrow.Table) -> list[EncodedRow]:
    """Read what `encoded_table` made."""
    return [
        EncodedRow(
            one["id"],
            one["document"],
            one["line"],
            one["text_hash"],
            _vector(one["term_ids"], one["weights"], one["terms"]),
            one["truncated"],
            one["stage"],
            one["reason"],
            one["message"],
        )
        for one in table.to_pylist()
    ]


def published_table(encoded: Sequence[EncodedRow], fingerprint: str) -> pyarrow.Table:
    """Return what is kept in Parquet: id, text_hash, terms, term_ids, weights, truncated, document (JSON).

    The schema's metadata names the model: `splade_sidecar_fingerprint`.
    """
    kept = ["id", "text_hash", "terms", "term_ids", "weights", "truncated", "document"]
    table = encoded_table(encoded, 0.0).select(kept)
    return table.replace_schema_metadata({"splade_sidecar_fingerprint": fingerprint})


def _lists(values: Sequence[Sequence[str] | Sequence[int] | Sequence[float] | None], kind: object) -> pyarrow.Array:
    import pyarrow

    return pyarrow.array(values, pyarrow.list_(kind))


def _vector(
    term_ids: Sequence[int] | None, weights: Sequence[float] | None, terms: Sequence[str] | None
) -> SparseVector | None:
    if term_ids is None or weights is None or terms is None:
        return None
    return SparseVector(tuple(term_ids), tuple(weights), tuple(terms))
