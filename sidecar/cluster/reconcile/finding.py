"""Which documents of an index need a vector: the queries that find them, and what is decided of each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sidecar.cluster.documents import source_text, text_hash
from sidecar.domain import JsonObject
from sidecar.engine import Dialect, IndexMeta, StoredDocument

__all__ = ["Finding", "Reason", "complete_query", "decide", "incomplete_query", "scanned_fields"]


class Reason(StrEnum):
    """Why a document needs a vector."""

    MISSING = "missing"
    """It was never encoded: it has no hash."""
    OUTDATED = "outdated"
    """It has a hash and no vector of this model: encoded by another one, or the vector was lost."""
    CHANGED = "changed"
    """Its text is no longer the one that was encoded."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One version of a document that needs a vector (or, without text, only its hash), and why.

    `hash` is that of its text, `hash_before` what the index held instead, if anything. `vector` are fields of a vector
    that is right already: the text is not encoded.
    """

    document: StoredDocument
    text: str
    hash: str
    reason: Reason
    hash_before: object = None
    vector: JsonObject | None = None


def scanned_fields(meta: IndexMeta) -> tuple[str, ...]:
    """Return the fields that a decision needs; never the vector."""
    return (*meta.source_fields, meta.hash_field)


def incomplete_query(meta: IndexMeta, dialect: Dialect, where: JsonObject | None = None) -> JsonObject:
    """Match the documents without a vector of the index's model, but not those known to have no text.

    A document that was written without text and then given one is not among them: its hash tells (CHANGED).
    """
    done = [dialect.presence_filter(meta.vector_field, meta.fingerprint), _without_text(meta)]
    return {"bool": {"must_not": done, **_where(where)}}


def complete_query(meta: IndexMeta, dialect: Dialect, where: JsonObject | None = None) -> JsonObject:
    """Match every other document: those that may only have changed."""
    done = [dialect.presence_filter(meta.vector_field, meta.fingerprint), _without_text(meta)]
    either: JsonObject = {"bool": {"should": done, "minimum_should_match": 1}}
    return {"bool": {"filter": [either] if where is None else [either, where]}}


def decide(document: StoredDocument, meta: IndexMeta, *, has_vector: bool) -> Finding | None:
    """Return what has to be done about a document; None: nothing.

    `has_vector` tells whether the index holds a vector of its model for the document, or knows that it has no text.
    """
    text = source_text(document.id, document.source, meta)
    wanted, found = text_hash(text), document.source.get(meta.hash_field)
    if found == wanted and (has_vector or not text):
        return None
    if found is None:
        reason = Reason.MISSING
    else:
        reason = Reason.OUTDATED if found == wanted or not has_vector else Reason.CHANGED
    return Finding(document, text, wanted, reason, found)


def _without_text(meta: IndexMeta) -> JsonObject:
    return {"term": {meta.hash_field: text_hash("")}}


def _where(where: JsonObject | None) -> JsonObject:
    return {} if where is None else {"filter": [where]}
