"""Checks of the cluster itself: health, limits, disk, heap, clocks, plugins."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.cluster.doctor.evidence import Evidence, number
from sidecar.cluster.doctor.findings import Finding, Severity
from sidecar.engine.features import MAX_CLAUSES
from sidecar.engine.versions import NEURAL_SEARCH, Distribution

__all__ = ["clause_limit", "clocks", "disk", "health", "heap", "plugins", "readable"]

CLAUSE_LIMIT = "indices.query.bool.max_clause_count"
DEFAULT_CLAUSE_LIMIT = 1_024
DISK_HEEDED = "cluster.routing.allocation.disk.threshold_enabled"
WATERMARKS = {
    "cluster.routing.allocation.disk.watermark.flood_stage": (0.95, "the index becomes read-only"),
    "cluster.routing.allocation.disk.watermark.high": (0.90, "shards are moved away from the node"),
    "cluster.routing.allocation.disk.watermark.low": (0.85, "no new shard is put on the node"),
}
HEAP_WARNING, HEAP_ERROR = 0.85, 0.95
CLOCK_SECONDS = 5.0


def readable(evidence: Evidence) -> Iterator[Finding]:
    """Everything could be looked at."""
    for what, why in evidence.unread:
        forbidden = "(401)" in why or "(403)" in why
        yield Finding(
            "readable",
            Severity.NOTE,
            f"Not looked at: {what}. {why}",
            "What is not seen is not warned of.",
            "Run doctor as a user that may read it (cluster:monitor, indices:monitor)."
            if forbidden
            else "Mend what the cluster says, and run doctor again.",
        )


def health(evidence: Evidence) -> Iterator[Finding]:
    """All primary shards of the index are there."""
    if evidence.health == "red":
        yield Finding(
            "health",
            Severity.ERROR,
            "The index is red: a primary shard is missing.",
            "Searches answer without its documents, writes to them fail.",
            "See GET /_cluster/allocation/explain.",
        )
    elif evidence.health == "yellow":
        yield Finding(
            "health",
            Severity.NOTE,
            "The index is yellow: a replica is missing.",
            "One more lost node can cost documents, vectors with them.",
            "Add a node, or lower number_of_replicas.",
        )


def clause_limit(evidence: Evidence) -> Iterator[Finding]:
    """A query may have as many clauses as a sparse query has terms."""
    found = number(evidence.cluster_settings.get(CLAUSE_LIMIT))
    limit = DEFAULT_CLAUSE_LIMIT if found is None else int(found)
    if limit < MAX_CLAUSES:
        yield Finding(
            "clause_limit",
            Severity.WARNING,
            f"{CLAUSE_LIMIT} is {limit}; a sparse query has up to {MAX_CLAUSES} terms, and words beside them.",
            "A query above the limit is refused, inside hybrid and nested queries with HTTP 500.",
            f"Set it to {DEFAULT_CLAUSE_LIMIT} or more (it is dynamic on OpenSearch), or prune queries in the profile.",
        )


def disk(evidence: Evidence) -> Iterator[Finding]:
    """Every node is below the disk watermarks, where the cluster heeds them."""
    if str(evidence.cluster_settings.get(DISK_HEEDED, "true")).lower() == "false":
        return
    for node in evidence.nodes:
        for key, (default, consequence) in WATERMARKS.items():
            limit = _share(evidence.cluster_settings.get(key), default)
            if node.disk is not None and limit is not None and node.disk >= limit:
                yield Finding(
                    "disk",
                    Severity.WARNING if key.endswith(".low") else Severity.ERROR,
                    f"The disk of {node.name} is {node.disk:.0%} full, above {key.rpartition('.')[2]} ({limit:.0%}).",
                    f"There {consequence}; vectors make an index two to three times as large.",
                    "Add disk or nodes before vectors are written.",
                )
                break


def heap(evidence: Evidence) -> Iterator[Finding]:
    """Every node has heap to spare."""
    for node in evidence.nodes:
        if node.heap is not None and node.heap >= HEAP_WARNING:
            yield Finding(
                "heap",
                Severity.ERROR if node.heap >= HEAP_ERROR else Severity.WARNING,
                f"{node.heap:.0%} of the heap of {node.name} is in use.",
                "At 95 % the circuit breaker refuses requests with 429; seismic keeps its vectors in the heap besides.",
                "Write slower (`reconcile --rate`) or give the node more heap. Look twice: a collection may be due.",
            )


def clocks(evidence: Evidence) -> Iterator[Finding]:
    """The nodes' clocks agree with this machine's."""
    for node in evidence.nodes:
        if node.ahead is not None and abs(node.ahead) >= CLOCK_SECONDS:
            yield Finding(
                "clocks",
                Severity.WARNING,
                f"The clock of {node.name} is {abs(node.ahead):.0f} s {'ahead' if node.ahead > 0 else 'behind'}.",
                "Certificates and tokens are taken for expired or not yet valid, and logs can't be put side by side.",
                "Run a time service on both machines.",
            )


def plugins(evidence: Evidence) -> Iterator[Finding]:
    """neural-search has the cluster's version, and no index uses what loses documents by accident."""
    cluster = evidence.cluster
    version = (cluster.plugins or {}).get(NEURAL_SEARCH)
    if cluster.distribution is not Distribution.OPENSEARCH or not version or version == "NA":
        return
    if not version.startswith(cluster.version):
        yield Finding(
            "plugins",
            Severity.WARNING,
            f"neural-search {version} runs in OpenSearch {cluster.version}.",
            "Its segment format belongs to its own version.",
            "Install the plugin of the cluster's version on every node.",
        )


def _share(value: object, default: float) -> float | None:
    """Return a watermark as a share of the disk; None where it is given in bytes."""
    if value is None:
        return default
    text = str(value).strip()
    try:
        return float(text[:-1]) / 100.0 if text.endswith("%") else (float(text) if float(text) <= 1.0 else None)
    except ValueError:
        return None
