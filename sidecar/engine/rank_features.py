"""The `rank_features` dialects: a plain field type of every OpenSearch and of Elasticsearch, no plugin.

The score of a `rank_feature` clause with the `linear` function is boost x stored weight, so that a `bool.should` of
one clause per query term is the inner product. Stored weights keep nine significant bits (Lucene's FeatureField):
scores are up to 0.4 % low, never high.

Clusters from before `linear` (Elasticsearch 7.10, OpenSearch 1.x) know `saturation`, w / (w + pivot): with a large
pivot and a boost of pivot x query weight it comes within w / pivot of the product.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sidecar.domain import JsonObject, SparseVector
from sidecar.engine.features import escape, heaviest, sentinel
from sidecar.engine.term_field import TermField
from sidecar.engine.versions import ClusterInfo, Distribution
from sidecar.errors import InvalidInput

__all__ = ["SATURATION_PIVOT", "RankFeatures"]

SATURATION_PIVOT = 2_048.0
"""Where the two errors of `saturation` meet for weights from 0.1 to 4: w / pivot from the curve, and pivot / w ulps
from Lucene's single-precision 1 - pivot / (w + pivot)."""


@dataclass(frozen=True, slots=True)
class RankFeatures(TermField):
    """One `rank_features` field; features are escaped term strings, and one sentinel.

    `pivot` None scores by `linear`; a number, by `saturation` with that pivot.
    """

    pivot: float | None = None

    @property
    def name(self) -> str:
        return "rank_features" if self.pivot is None else "rank_features_saturation"

    def unsupported_because(self, cluster: ClusterInfo) -> str | None:
        """`linear` is in every OpenSearch from 2.0 on, and in Elasticsearch from 7.12 on; `saturation` from 7.0 on."""
        version = f"{cluster.title} {cluster.version}"
        if self.pivot is not None:
            old = cluster.distribution is Distribution.ELASTICSEARCH and cluster.release < (7, 0)
            return f"{version} is too old: rank_features needs 7.0 or newer." if old else None
        if cluster.distribution is Distribution.OPENSEARCH and cluster.release < (2, 0):
            return f"{version} is too old: rank_features with `linear` needs 2.0 or newer."
        if cluster.distribution is Distribution.ELASTICSEARCH and cluster.release < (7, 12):
            return f"{version} has no `linear` in its rank_feature query: that came with 7.12."
        return None

    def field_mapping(self) -> JsonObject:
        return {"type": "rank_features"}

    def sparse_query(
        self, field: str, vector: SparseVector, boost: float = 1.0, depth: int | None = None
    ) -> JsonObject:
        """Return a `bool.should` of at most MAX_CLAUSES clauses, the heaviest terms; matches nothing for no terms."""
        clauses = []
        for term, weight in heaviest(vector).by_term().items():
            weighted = weight * boost
            if not (math.isfinite(weighted) and weighted > 0.0):
                raise InvalidInput("A query's weights, and its boost, must be finite and > 0.", field="vector")
            clauses.append(self._clause(field, escape(term), weighted))
        if not clauses:
            return {"match_none": {}}
        return {"bool": {"should": clauses, "minimum_should_match": 1}}

    def presence_filter(self, field: str, fingerprint: str) -> JsonObject:
        """`exists` does not work on rank_features: the sentinel stands in for it."""
        return {"bool": {"filter": [self._clause(field, sentinel(fingerprint), 1.0)]}}

    def _clause(self, field: str, feature: str, weight: float) -> JsonObject:
        name = f"{field}.{feature}"
        if self.pivot is None:
            return {"rank_feature": {"field": name, "linear": {}, "boost": weight}}
        return {"rank_feature": {"field": name, "saturation": {"pivot": self.pivot}, "boost": weight * self.pivot}}
