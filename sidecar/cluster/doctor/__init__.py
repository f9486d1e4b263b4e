"""`sidecar doctor`: warns of the traps that a cluster and an index are exposed to."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sidecar.cluster.doctor import documents, mapping, nodes, pipelines, query, seismic
from sidecar.cluster.doctor.certificates import check_certificates
from sidecar.cluster.doctor.connector import check_routes, check_through_cluster
from sidecar.cluster.doctor.evidence import Evidence, gather
from sidecar.cluster.doctor.findings import Finding, Severity, worst

__all__ = [
    "CHECKS",
    "Evidence",
    "Finding",
    "Severity",
    "check_certificates",
    "check_routes",
    "check_through_cluster",
    "examine",
    "gather",
    "worst",
]

CHECKS: tuple[Callable[[Evidence], Iterator[Finding]], ...] = (
    mapping.prepared,
    mapping.fields,
    mapping.positive_score_impact,
    mapping.vector_in_source,
    mapping.whole_documents,
    mapping.read_only,
    mapping.result_window,
    documents.fingerprint,
    documents.migration,
    documents.presence,
    documents.merged_vectors,
    seismic.sparse_index,
    seismic.approximate_segments,
    seismic.term_ids,
    seismic.ceilings,
    pipelines.default_pipeline,
    pipelines.two_phase,
    pipelines.hybrid_pipeline,
    query.hybrid_query,
    query.neural_sparse_query,
    query.rank_feature_query,
    query.passage_query,
    query.two_phase_query,
    nodes.health,
    nodes.clause_limit,
    nodes.disk,
    nodes.heap,
    nodes.clocks,
    nodes.plugins,
    nodes.readable,
)
"""Every check of what was gathered; each looks and says, and asks the cluster nothing."""


def examine(evidence: Evidence) -> tuple[Finding, ...]:
    """Run every check; findings by severity, and in the order of CHECKS within one."""
    found = [finding for check in CHECKS for finding in check(evidence)]
    order = list(Severity)
    return tuple(sorted(found, key=lambda finding: order.index(finding.severity)))
