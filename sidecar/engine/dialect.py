"""What differs between kinds of sparse field: mapping, stored form, query."""

from __future__ import annotations

from typing import Protocol

from sidecar.domain import JsonObject, SparseVector
from sidecar.engine.rank_features import RankFeatures
from sidecar.engine.versions import ClusterInfo
from sidecar.errors import UnsupportedEngine

__all__ = ["DIALECTS", "Dialect", "dialect_for", "dialect_named"]


class Dialect(Protocol):
    """One way of keeping a sparse vector in a cluster and scoring it by exact inner product."""

    @property
    def name(self) -> str:
        """Name in `_meta`, on the command line, and of the folder under `mappings/`."""

    def unsupported_because(self, cluster: ClusterInfo) -> str | None:
        """Say what the cluster lacks for this dialect; None: nothing."""

    def field_mapping(self) -> JsonObject:
        """Return the mapping of the vector field."""

    def document_features(self, vector: SparseVector, fingerprint: str) -> dict[str, float]:
        """Return the stored form of a document's vector, with the sentinel of `fingerprint`. Needs terms."""

    def sparse_query(self, field: str, vector: SparseVector, boost: float = 1.0) -> JsonObject:
        """Return a query that scores `boost` times the inner product. Needs terms."""

    def presence_filter(self, field: str, fingerprint: str) -> JsonObject:
        """Return a query that matches the documents that hold a vector of that model, scores aside."""


DIALECTS: dict[str, Dialect] = {"rank_features": RankFeatures()}
"""Every dialect, by name."""


def dialect_named(name: str) -> Dialect:
    """Return the dialect called `name`; raise UnsupportedEngine where there is none."""
    try:
        return DIALECTS[name]
    except KeyError:
        raise UnsupportedEngine(f"There is no dialect {name!r}; known: {', '.join(sorted(DIALECTS))}.") from None


def dialect_for(cluster: ClusterInfo) -> Dialect:
    """Return the first dialect that the cluster can do; raise UnsupportedEngine with the reason where there is none."""
    reasons: list[str] = []
    for dialect in DIALECTS.values():
        reason = dialect.unsupported_because(cluster)
        if reason is None:
            return dialect
        reasons.append(reason)
    raise UnsupportedEngine(" ".join(reasons))
