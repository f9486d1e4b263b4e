"""Which dialect an index gets: the cluster's version and plugins decide, and the reason is told."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.engine.dialect import DIALECTS, PREFERENCE, Dialect, dialect_for, dialect_named
from sidecar.engine.versions import ClusterInfo
from sidecar.errors import UnsupportedEngine

__all__ = ["DialectChoice", "choose_dialect"]

ADVANTAGES = {
    "elasticsearch": "its sparse_vector query takes a ready vector",
    "neural_sparse": "its neural-search plugin takes ready tokens",
    "rank_features": "rank_features with linear scoring needs no plugin",
    "rank_features_saturation": "its rank_feature query has no `linear`, and saturation comes near it",
    "seismic": "its neural-search plugin has sparse_vector fields",
}


@dataclass(frozen=True, slots=True)
class DialectChoice:
    """The dialect, why it was taken, and why those that are preferred to it were not."""

    dialect: Dialect
    reason: str
    passed_over: tuple[str, ...] = ()


def choose_dialect(cluster: ClusterInfo, wanted: str | None = None) -> DialectChoice:
    """Choose for a cluster whose plugins are known; `wanted` overrides the preference, not the requirements.

    Raises UnsupportedEngine where the cluster can do none, or not the one that is wanted.
    """
    shown = f"{cluster.title} {cluster.version}"
    if wanted is not None:
        dialect = dialect_named(wanted)
        missing = dialect.unsupported_because(cluster)
        if missing is not None:
            raise UnsupportedEngine(f"The dialect {wanted} can't be used here. {missing}")
        return DialectChoice(dialect, f"{wanted}: asked for; {shown}: {ADVANTAGES[wanted]}.")
    dialect = dialect_for(cluster)
    before = PREFERENCE[: PREFERENCE.index(dialect.name)]
    passed_over = tuple(f"not {name}: {DIALECTS[name].unsupported_because(cluster)}" for name in before)
    return DialectChoice(dialect, f"{dialect.name}: {shown}: {ADVANTAGES[dialect.name]}.", passed_over)
