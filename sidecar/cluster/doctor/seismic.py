"""Checks of the traps of SEISMIC indices; each was met on a live node."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.cluster.doctor.evidence import Evidence, nested, number
from sidecar.cluster.doctor.findings import Finding, Severity
from sidecar.domain import JsonValue
from sidecar.engine.seismic import MAX_TERM_IDS, advised_ceiling

__all__ = ["approximate_segments", "ceilings", "sparse_index", "term_ids"]

DEFAULT_THRESHOLD = 1_000_000
NEAR = 0.5
"""Two segments of this share of the threshold make one above it when they are merged."""

DEFAULT_CEILING = 3.0


def sparse_index(evidence: Evidence) -> Iterator[Finding]:
    """An index with a seismic field has index.sparse."""
    if not _is_seismic(evidence) or str(evidence.settings.get("index.sparse", "false")).lower() == "true":
        return
    yield Finding(
        "sparse_index",
        Severity.ERROR,
        "The index has a seismic field and not the setting index.sparse.",
        "Segments below the threshold are searched exactly; the first one that reaches it answers every search with"
        " HTTP 500.",
        "Make a new index: the setting is final.",
    )


def approximate_segments(evidence: Evidence) -> Iterator[Finding]:
    """No segment is, or is about to be, at the threshold where the approximate index with its faults begins."""
    if not _is_seismic(evidence):
        return
    threshold = number(nested(_parameters(evidence), "approximate_threshold"))
    limit = DEFAULT_THRESHOLD if threshold is None else int(threshold)
    largest = max((segment.documents for segment in evidence.segments), default=0)
    deleted = sum(segment.deleted for segment in evidence.segments)
    lacking = evidence.documents - (evidence.present if evidence.present is not None else evidence.documents)
    if largest >= limit:
        fatal = deleted > 0 or lacking > 0
        yield Finding(
            "approximate_segments",
            Severity.ERROR if fatal else Severity.WARNING,
            f"A segment has {largest} documents, the approximate threshold is {limit};"
            f" {deleted} documents are deleted, {lacking} have no vector.",
            "A merge with a segment that lacks the field (deletes, documents without text) loses all postings of the"
            " merged segment: searches answer 200 with no hits. A filter inside the query that matches nothing in a"
            " segment is ignored there.",
            "Raise approximate_threshold above the size of a shard in a new index, or take --dialect neural_sparse.",
        )
    elif largest >= NEAR * limit:
        yield Finding(
            "approximate_segments",
            Severity.WARNING,
            f"The largest segment has {largest} documents, the approximate threshold is {limit}.",
            "Above it, approximate search begins, and a merge after deletes loses documents without an error.",
            "Add shards, limit segments (index.merge.policy.max_merged_segment), or make a new index with a larger"
            " threshold.",
        )


def term_ids(evidence: Evidence) -> Iterator[Finding]:
    """No term id lies where they fold."""
    meta = evidence.meta
    if not _is_seismic(evidence) or meta is None:
        return
    keys = [int(key) for vector in evidence.vectors() for key in vector if key.isdecimal()]
    model = next((one for one in evidence.served or () if one.fingerprint == meta.fingerprint), None)
    vocabulary = 0 if model is None else model.vocabulary_size
    if max(keys, default=0) < MAX_TERM_IDS and vocabulary <= MAX_TERM_IDS:
        return
    seen = f"Documents hold term ids up to {max(keys, default=0)}" if keys else "No document was sampled"
    yield Finding(
        "term_ids",
        Severity.ERROR,
        f"{seen}; the model's vocabulary has {vocabulary or 'an unknown number of'} terms.",
        f"Ids from {MAX_TERM_IDS} on make approximate searches fail (HTTP 500), or find the documents of another id.",
        "Take --dialect neural_sparse, or a model with a smaller vocabulary.",
    )


def ceilings(evidence: Evidence) -> Iterator[Finding]:
    """The quantisation ceiling lies above the weights, and not far above them."""
    if not _is_seismic(evidence):
        return
    weights = [value for vector in evidence.vectors() for value in vector.values() if isinstance(value, int | float)]
    if not weights:
        return
    found = number(nested(_parameters(evidence), "quantization_ceiling_ingest"))
    ceiling = DEFAULT_CEILING if found is None else found
    largest = max(weights)
    if largest <= ceiling <= 3.0 * largest:
        return
    clamped = sum(1 for weight in weights if weight > ceiling)
    yield Finding(
        "ceilings",
        Severity.WARNING,
        f"quantization_ceiling_ingest is {ceiling:g}, the largest of {len(weights)} sampled weights is {largest:.3g}.",
        f"{clamped} of them are clamped: they count alike."
        if clamped
        else "Weights are kept in 255 steps up to the ceiling: most of the steps are never used.",
        f"Advised: {advised_ceiling(largest):g} (`sidecar setup --largest-weight {largest:.3g}`, for a new index).",
    )


def _is_seismic(evidence: Evidence) -> bool:
    mapping = evidence.vector_mapping
    return mapping is not None and nested(mapping, "method", "name") == "seismic"


def _parameters(evidence: Evidence) -> JsonValue:
    return nested(evidence.vector_mapping, "method", "parameters")
