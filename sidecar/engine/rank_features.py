"""The `rank_features` dialect: a plain field type of every OpenSearch and of Elasticsearch, no plugin.

The score of a `rank_feature` clause with the `linear` function is boost x stored weight, so that a `bool.should` of
one clause per query term is the inner product. Stored weights keep nine significant bits (Lucene's FeatureField):
scores are up to 0.4 % low, never high.
"""

from __future__ import annotations

import math

from sidecar.domain import JsonObject, SparseVector
from sidecar.engine.versions import ClusterInfo, Distribution
from sidecar.errors import InvalidInput

__all__ = ["MAX_CLAUSES", "RankFeatures", "escape", "sentinel", "unescape"]

MAX_CLAUSES = 1_000
"""Clauses per sparse query; below `indices.query.bool.max_clause_count` (1,024), to leave the rest of the body some."""

MAX_TERM_BYTES = 32_766
"""Lucene's limit for one term, in UTF-8 bytes."""

SMALLEST_WEIGHT = 1.1754943508222875e-38
"""The smallest positive normal float32."""

LARGEST_WEIGHT = 3.4028234663852886e38
"""The largest finite float32."""


def escape(term: str) -> str:
    """Return the feature name of a term.

    `rank_feature` splits its field at the last dot: a feature with a dot in its name is never found, without an error.
    """
    return term.replace("%", "%25").replace(".", "%2E")


def unescape(feature: str) -> str:
    """Return the term of a feature name; the inverse of `escape`."""
    return feature.replace("%2E", ".").replace("%25", "%")


def sentinel(fingerprint: str) -> str:
    """Return the feature that every vector of the model holds with weight 1; no query scores it."""
    return f"_splade_{fingerprint[:16]}"


class RankFeatures:
    """One `rank_features` field; features are escaped term strings, and one sentinel."""

    @property
    def name(self) -> str:
        return "rank_features"

    def unsupported_because(self, cluster: ClusterInfo) -> str | None:
        """`linear` is in every OpenSearch from 2.0 on, and in Elasticsearch from 7.12 on."""
        if cluster.distribution is Distribution.OPENSEARCH and cluster.release < (2, 0):
            return f"OpenSearch {cluster.version} is too old: rank_features with `linear` needs 2.0 or newer."
        if cluster.distribution is Distribution.ELASTICSEARCH and cluster.release < (7, 12):
            return (
                f"Elasticsearch {cluster.version} can't score inner products: its rank_feature query has no `linear`"
                " function. Use Elasticsearch 7.12 or newer, or OpenSearch 2.0 or newer."
            )
        return None

    def field_mapping(self) -> JsonObject:
        return {"type": "rank_features"}

    def document_features(self, vector: SparseVector, fingerprint: str) -> dict[str, float]:
        """Return `{feature: weight}`; raise InvalidInput for a weight that Lucene would refuse."""
        features: dict[str, float] = {}
        for term, weight in vector.by_term().items():
            if not (SMALLEST_WEIGHT <= weight <= LARGEST_WEIGHT):
                raise InvalidInput("A document's weights must be finite positive normal floats.", field="vector")
            feature = escape(term)
            if len(feature.encode()) > MAX_TERM_BYTES:
                raise InvalidInput(f"A term has more than {MAX_TERM_BYTES} bytes.", field="vector")
            features[feature] = weight
        features[sentinel(fingerprint)] = 1.0
        return features

    def sparse_query(self, field: str, vector: SparseVector, boost: float = 1.0) -> JsonObject:
        """Return a `bool.should` of at most MAX_CLAUSES clauses, the heaviest terms; matches nothing for no terms."""
        heaviest = sorted(vector.by_term().items(), key=lambda item: -item[1])[:MAX_CLAUSES]
        clauses = []
        for term, weight in heaviest:
            weighted = weight * boost
            if not (math.isfinite(weighted) and weighted > 0.0):
                raise InvalidInput("A query's weights, and its boost, must be finite and > 0.", field="vector")
            clauses.append(_clause(field, escape(term), weighted))
        if not clauses:
            return {"match_none": {}}
        return {"bool": {"should": clauses, "minimum_should_match": 1}}

    def presence_filter(self, field: str, fingerprint: str) -> JsonObject:
        """`exists` does not work on rank_features: the sentinel stands in for it."""
        return {"bool": {"filter": [_clause(field, sentinel(fingerprint), 1.0)]}}


def _clause(field: str, feature: str, boost: float) -> JsonObject:
    return {"rank_feature": {"field": f"{field}.{feature}", "linear": {}, "boost": boost}}
