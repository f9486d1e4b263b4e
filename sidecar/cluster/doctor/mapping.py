"""Checks of the index's mapping and settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sidecar.cluster.doctor.evidence import Evidence, listed, nested
from sidecar.cluster.doctor.findings import Finding, Severity
from sidecar.cluster.unstored import unstored
from sidecar.engine import META_KEY, dialect_of

__all__ = [
    "fields",
    "positive_score_impact",
    "prepared",
    "read_only",
    "result_window",
    "vector_in_source",
    "whole_documents",
]

FETCHED = 200
"""`candidates` of a profile that does not say."""


def prepared(evidence: Evidence) -> Iterator[Finding]:
    """The index carries a readable record, and the cluster can do its dialect."""
    if evidence.meta is None:
        present = nested(evidence.mapping, "_meta", META_KEY) is not None
        yield Finding(
            "prepared",
            Severity.ERROR,
            f"Index {evidence.index} has {'a record this version does not read' if present else 'no record'}.",
            "Without it nobody knows which model's vectors the index holds, and every search is refused.",
            "Run the version that set it up." if present else f"Run `sidecar setup --index {evidence.index}`.",
        )
        return
    dialect = dialect_of(evidence.meta)
    missing = dialect.unsupported_because(evidence.cluster)
    if missing is not None:
        yield Finding(
            "prepared",
            Severity.ERROR if evidence.cluster.plugins is not None else Severity.NOTE,
            f"The index uses the dialect {dialect.name}. {missing}",
            "Its queries fail on this cluster.",
            "Install what is missing on every node, or set up a new index with another --dialect.",
        )


def fields(evidence: Evidence) -> Iterator[Finding]:
    """The vector field, what stands beside it, and the hash field are mapped as the dialect needs them."""
    meta = evidence.meta
    if meta is None:
        return
    dialect = dialect_of(meta)
    vector, *beside = dialect.written_fields(meta.vector_field)
    wanted = {vector: str(dialect.field_mapping()["type"]), **dict.fromkeys([*beside, meta.hash_field], "keyword")}
    for name, kind in wanted.items():
        found = nested(evidence.mapping, "properties", name)
        actual = found.get("type", "object") if isinstance(found, Mapping) else None
        if actual == kind:
            continue
        yield Finding(
            "fields",
            Severity.ERROR,
            f"The field {name} is {'missing' if actual is None else f'of type {actual}'}, not {kind}.",
            "A document that is written first lets the cluster guess the type: one field per term, and dotted terms"
            " become objects or are refused.",
            f"Run `sidecar setup --index {evidence.index}` before anything is written; an index with the wrong type has"
            " to be made anew.",
        )


def positive_score_impact(evidence: Evidence) -> Iterator[Finding]:
    """The vector field does not turn weights into their reciprocals."""
    mapping = evidence.vector_mapping
    if mapping is not None and str(mapping.get("positive_score_impact", "true")).lower() == "false":
        yield Finding(
            "positive_score_impact",
            Severity.ERROR,
            "The vector field is mapped with positive_score_impact: false.",
            "The cluster then scores the reciprocal of every weight: the least important terms count most.",
            "Make a new index without it and reindex: it can't be changed.",
        )


def vector_in_source(evidence: Evidence) -> Iterator[Finding]:
    """The vector is kept in `_source`."""
    meta = evidence.meta
    if meta is None:
        return
    source = nested(evidence.mapping, "_source")
    disabled = isinstance(source, Mapping) and source.get("enabled") is False
    excluded = [str(name) for name in listed(nested(source, "excludes"))]
    included = [str(name) for name in listed(nested(source, "includes"))]
    out = any(_covers(pattern, meta.vector_field) for pattern in excluded)
    out = out or (bool(included) and not any(_covers(pattern, meta.vector_field) for pattern in included))
    if not (disabled or out):
        return
    yield Finding(
        "vector_in_source",
        Severity.WARNING,
        f"The field {meta.vector_field} is left out of _source.",
        "A partial _update of any other field then silently drops the vector, and _reindex copies none: the documents"
        " are not found any more, and no error says so.",
        "Keep the vector in _source (a new index), or write whole documents only and run `sidecar reconcile` after"
        " every partial update.",
    )


def whole_documents(evidence: Evidence) -> Iterator[Finding]:
    """Documents are kept whole in `_source`, but for their vectors: from there they are written anew."""
    meta = evidence.meta
    if meta is None:
        return
    lost = unstored(evidence.mapping, dialect_of(meta).written_fields(meta.vector_field))
    if lost is not None:
        yield Finding(
            "whole_documents",
            Severity.WARNING,
            f"The index leaves {lost} out of _source.",
            "Any partial _update silently drops that from the index; `sidecar reconcile` and `sidecar migrate` would do"
            " the same to every document, and are refused.",
            "Write whole documents only (`sidecar index`, SparseWriter), or make an index that keeps them whole.",
        )


def read_only(evidence: Evidence) -> Iterator[Finding]:
    """Nothing blocks writes to the index."""
    for key, value in evidence.settings.items():
        if key.startswith("index.blocks.") and str(value).lower() == "true":
            full = key.endswith("read_only_allow_delete")
            yield Finding(
                "read_only",
                Severity.ERROR if full else Severity.WARNING,
                f"The index has {key}.",
                "Vectors can't be written." + (" The cluster sets it when a disk is nearly full." if full else ""),
                f"{'Free disk space, then set' if full else 'Set'} {key} to null.",
            )


def result_window(evidence: Evidence) -> Iterator[Finding]:
    """A search may fetch as many documents as profiles do."""
    window = evidence.result_window
    if window < FETCHED:
        yield Finding(
            "result_window",
            Severity.WARNING,
            f"index.max_result_window is {window}.",
            f"A search that fetches more at once is refused: profiles have {FETCHED} candidates of each retriever.",
            f"Set it to {FETCHED} or more, or give your profiles fewer `candidates` (and a lower `rerank.depth`).",
        )


def _covers(pattern: str, field: str) -> bool:
    if pattern.endswith(".*"):
        pattern = pattern[:-2]
    return pattern in {"*", field} or (pattern.endswith("*") and field.startswith(pattern[:-1]))
