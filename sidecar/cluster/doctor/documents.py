"""Checks of what the documents hold, and of which model made it."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.cluster.doctor.evidence import Evidence
from sidecar.cluster.doctor.findings import Finding, Severity
from sidecar.cluster.doctor.migration import told
from sidecar.domain import ModelKind
from sidecar.engine import dialect_of

__all__ = ["fingerprint", "merged_vectors", "migration", "presence"]

MANY_TERMS = 2_000


def fingerprint(evidence: Evidence) -> Iterator[Finding]:
    """The sidecar that was named serves the model of the index."""
    meta = evidence.meta
    if meta is None or evidence.served is None:
        return
    encoders = [model for model in evidence.served if model.kind is ModelKind.SPARSE_ENCODER]
    model = next((one for one in encoders if one.fingerprint == meta.fingerprint), None)
    if model is None:
        known = ", ".join(f"{one.name} ({one.fingerprint[:16]})" for one in encoders) or "no sparse encoder"
        yield Finding(
            "fingerprint",
            Severity.ERROR,
            f"The index holds vectors of {meta.bundle} ({meta.fingerprint[:16]}), the sidecar serves {known}.",
            "Its queries are refused: scores between two models mean nothing.",
            f"Serve {meta.bundle}, or set up a new index for the model that is served.",
        )
        return
    reason = dialect_of(meta).unsuitable_because(model.vocabulary_size)
    if reason is not None:
        yield Finding(
            "fingerprint", Severity.ERROR, reason, "Searches fail or find wrong documents.", "Make a new index."
        )


def migration(evidence: Evidence) -> Iterator[Finding]:
    """No change of the model was left half done."""
    if evidence.migration is not None:
        yield from told(evidence.migration, evidence.served)


def presence(evidence: Evidence) -> Iterator[Finding]:
    """Every document with a text that was written through the sidecar has a vector of the index's model."""
    if evidence.meta is None or evidence.present is None or evidence.hashed is None:
        return
    unseen = evidence.documents - evidence.hashed
    if unseen > 0:
        yield Finding(
            "presence",
            Severity.WARNING,
            f"{unseen} of {evidence.documents} documents were never read by the sidecar.",
            "Sparse search does not find them.",
            f"Run `sidecar reconcile --index {evidence.index}`.",
        )
    lost = evidence.hashed - evidence.present - evidence.without_text
    if lost > 0:
        yield Finding(
            "presence",
            Severity.WARNING,
            f"{lost} documents have the hash of a text and no vector of {evidence.meta.bundle}.",
            "They have another model's vector, or lost theirs by a partial update: sparse search does not find them.",
            f"Run `sidecar reconcile --index {evidence.index}`.",
        )


def merged_vectors(evidence: Evidence) -> Iterator[Finding]:
    """No sampled vector looks like two that were merged by a partial update."""
    meta = evidence.meta
    if meta is None:
        return
    marks = [sum(1 for key in vector if key.startswith("_splade_")) for vector in evidence.vectors()]
    merged = sum(1 for count in marks if count > 1)
    huge = sum(1 for vector in evidence.vectors() if len(vector) > MANY_TERMS)
    if merged or huge:
        yield Finding(
            "merged_vectors",
            Severity.ERROR if merged else Severity.NOTE,
            f"Of {len(evidence.sample)} sampled documents {merged} hold terms of two models, {huge} more than"
            f" {MANY_TERMS} terms.",
            "A partial _update of the vector field merges old and new terms; they are never told apart again.",
            "Run `sidecar reconcile`, which replaces vectors; never update the field partially.",
        )
