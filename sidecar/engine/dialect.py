"""What differs between kinds of sparse field: mapping, stored form, query."""

from __future__ import annotations

from typing import Protocol

from sidecar.domain import JsonObject, SparseVector
from sidecar.engine.elasticsearch import ElasticsearchSparseVector
from sidecar.engine.neural_sparse import NeuralSparse
from sidecar.engine.rank_features import SATURATION_PIVOT, RankFeatures
from sidecar.engine.seismic import Seismic
from sidecar.engine.versions import ClusterInfo
from sidecar.errors import UnsupportedEngine

__all__ = ["DIALECTS", "PREFERENCE", "Dialect", "dialect_for", "dialect_named"]


class Dialect(Protocol):
    """One way of keeping a sparse vector in a cluster and scoring it by its inner product with a query's."""

    @property
    def name(self) -> str:
        """Name in `_meta`, on the command line, and of the folder under `mappings/`."""

    def unsupported_because(self, cluster: ClusterInfo) -> str | None:
        """Say what the cluster lacks for this dialect; None: nothing."""

    def unsuitable_because(self, vocabulary_size: int) -> str | None:
        """Say why a model with so many terms can't be kept in this dialect; None: it can."""

    def field_mapping(self) -> JsonObject:
        """Return the mapping of the vector field."""

    def written_fields(self, field: str) -> tuple[str, ...]:
        """Return the top-level fields that a vector takes, the vector field first.

        Whoever replaces a vector removes all of them and then writes `document_fields`, which may hold fewer.
        """

    def document_fields(self, field: str, vector: SparseVector, fingerprint: str) -> JsonObject:
        """Return the top-level fields of a document that hold its vector and say which model made it."""

    def document_features(self, vector: SparseVector, fingerprint: str) -> dict[str, float]:
        """Return the value of the vector field alone, with the sentinel where the dialect has one."""

    def sparse_query(
        self, field: str, vector: SparseVector, boost: float = 1.0, depth: int | None = None
    ) -> JsonObject:
        """Return a query that scores `boost` times the inner product.

        `depth` is how many documents are wanted; only approximate dialects need to know.
        """

    def presence_filter(self, field: str, fingerprint: str) -> JsonObject:
        """Return a query that matches the documents that hold a vector of that model, scores aside."""

    def term_of(self, feature: str, vector: SparseVector) -> str | None:
        """Return the term behind a feature's name in an explanation of a query by `vector`; None: unknown."""


DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        ElasticsearchSparseVector(),
        NeuralSparse(),
        RankFeatures(),
        RankFeatures(SATURATION_PIVOT),
        Seismic(),
    )
}
"""Every dialect, by name."""

PREFERENCE = ("elasticsearch", "neural_sparse", "rank_features", "rank_features_saturation")
"""Which dialect is taken where a cluster can do several. `seismic` has to be asked for: it loses documents."""


def dialect_named(name: str) -> Dialect:
    """Return the dialect called `name`; raise UnsupportedEngine where there is none."""
    try:
        return DIALECTS[name]
    except KeyError:
        raise UnsupportedEngine(f"There is no dialect {name!r}; known: {', '.join(sorted(DIALECTS))}.") from None


def dialect_for(cluster: ClusterInfo) -> Dialect:
    """Return the first dialect of PREFERENCE that the cluster can do; raise UnsupportedEngine with the reasons."""
    reasons: list[str] = []
    for name in PREFERENCE:
        dialect = DIALECTS[name]
        reason = dialect.unsupported_because(cluster)
        if reason is None:
            return dialect
        reasons.append(reason)
    raise UnsupportedEngine(" ".join(reasons))
