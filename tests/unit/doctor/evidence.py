"""Evidence of an index in order, and ways to spoil it."""

from __future__ import annotations

from dataclasses import replace

from sidecar.cluster.doctor import Evidence, Finding, examine
from sidecar.cluster.doctor.evidence import Node, Segment
from sidecar.cluster.templates import existing_template
from sidecar.domain import JsonObject
from sidecar.engine import ClusterInfo, Distribution, IndexMeta
from sidecar.engine.versions import NEURAL_SEARCH
from tests.support.dialects import any_model

MODEL = any_model()
OPENSEARCH = ClusterInfo(Distribution.OPENSEARCH, "3.4.0", "c", (3, 4), {})
WITH_NEURAL = OPENSEARCH.with_plugins({NEURAL_SEARCH: "3.4.0.0"})
NAMES = {"content": "content", "splade": "splade", "splade_model": "splade_model", "splade_hash": "splade_hash"}
NORMALIZING = {"phase_results_processors": [{"normalization-processor": {}}]}


def healthy(dialect: str = "rank_features", **changes: object) -> Evidence:
    """An index of `dialect` about which there is nothing to say."""
    meta = IndexMeta(fingerprint=MODEL.fingerprint, bundle=MODEL.name, dialect=dialect)
    plain = dialect == "rank_features"
    found = Evidence(
        OPENSEARCH if plain else WITH_NEURAL,
        "shop",
        mapping={"_meta": meta.to_mapping(), **existing_template(dialect, NAMES)},
        settings={} if plain else {"index.sparse": "true", "index.search.default_pipeline": "fusing"},
        health="green",
        nodes=(Node("one", 0.5, 0.5, 0.1),),
        segments=(Segment(1_000), Segment(10)),
        documents=1_010,
        hashed=1_010,
        present=1_010,
        sample=({"splade": {"7": 2.0, "12": 1.0} if dialect == "seismic" else {"wolf": 2.0, "_splade_1": 1.0}},),
        search_pipelines={"fusing": NORMALIZING},
        served=(MODEL,),
    )
    return replace(found, **changes)


def with_mapping(evidence: Evidence, field: str, definition: JsonObject | None) -> Evidence:
    """The same with another definition of a field; None: without it."""
    properties = dict(evidence.mapping["properties"])
    properties.pop(field, None)
    if definition is not None:
        properties[field] = definition
    return replace(evidence, mapping={**evidence.mapping, "properties": properties})


def said(evidence: Evidence) -> dict[str, Finding]:
    """What the checks say, by check."""
    return {finding.check: finding for finding in examine(evidence)}
