"""What of a migration a dialect, or a version of a cluster, can't do: told before anything is changed."""

from __future__ import annotations

from sidecar.cluster.fields import EXCLUDED_VECTORS, excludes_vectors
from sidecar.domain import JsonObject, JsonValue, as_object
from sidecar.engine import Engine
from sidecar.engine.transport import path_of
from sidecar.engine.versions import ClusterInfo, Distribution
from sidecar.errors import InvalidInput, UnsupportedEngine

__all__ = [
    "aliases_are_conditional",
    "require_blocks",
    "require_fillable",
    "require_whole_vectors",
]

SAFE_SHARE = 0.5
"""Of the threshold: two segments of more than this make an approximate one when they are merged."""

USUAL_THRESHOLD = 1_000_000


async def require_fillable(engine: Engine, index: str, vector: JsonValue) -> None:
    """Raise InvalidInput where a new field `vector` (its definition) can't be filled document by document.

    A seismic field loses the postings of a segment that reaches its threshold when that is merged with one that has no
    value of the field; and until it is filled, most segments have none.
    """
    parameters = as_object(as_object(as_object(vector).get("method")).get("parameters"))
    if as_object(vector).get("type") != "sparse_vector" or not as_object(vector).get("method"):
        return
    threshold = parameters.get("approximate_threshold")
    limit = threshold if isinstance(threshold, int) else USUAL_THRESHOLD
    settings = await _settings(engine, index)
    shards = max(1, int(str(settings.get("index.number_of_shards", "1"))))
    documents = await engine.count(index)
    if documents / shards < SAFE_SHARE * limit:
        return
    raise InvalidInput(
        f"{index} has {documents} documents in {shards} shards, and its seismic field becomes approximate from {limit}"
        " in a segment on. A second such field is filled document by document, and a merge with segments that lack it"
        " would lose it without an error: give the new model an index of its own, by `sidecar migrate start --into`.",
        field="index",
    )


async def require_whole_vectors(engine: Engine, index: str, dialect: str, cluster: ClusterInfo) -> None:
    """Raise InvalidInput where an index does not give its vectors out with its documents: copies are compared whole."""
    if not excludes_vectors(dialect, cluster):
        return
    value = (await _settings(engine, index)).get(EXCLUDED_VECTORS, "true")
    if str(value).lower() != "false":
        raise InvalidInput(
            f"{index} keeps its vectors out of _source ({EXCLUDED_VECTORS}, the default of Elasticsearch 9.2 and newer,"
            " which can't be changed), and two indices are compared by their whole documents: leave --into out, and the"
            " new model's vectors come into the same index.",
            field="into",
        )


def require_blocks(cluster: ClusterInfo) -> None:
    """Raise UnsupportedEngine where a cluster can't let an index refuse writes and say when the last one is done."""
    if cluster.distribution is Distribution.ELASTICSEARCH and cluster.release < (7, 9):
        raise UnsupportedEngine(
            f"Elasticsearch {cluster.version} has no _block request (it came with 7.9), without which writes could get"
            " lost while an alias is moved: leave --into out, and the new model's vectors come into the same index."
        )


def aliases_are_conditional(cluster: ClusterInfo) -> bool:
    """Tell whether `_aliases` knows `must_exist`: older clusters refuse the whole request for it."""
    first = (2, 12) if cluster.distribution is Distribution.OPENSEARCH else (7, 11)
    return cluster.release >= first


async def _settings(engine: Engine, index: str) -> JsonObject:
    answer = await engine.read("GET", path_of(index, "_settings"), {"flat_settings": "true"})
    return as_object(as_object(answer.get(index)).get("settings"))
