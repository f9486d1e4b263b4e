"""What the checks look at, read from the cluster once; nothing here changes anything."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sidecar.cluster.doctor.migration import OpenMigration, read_migration
from sidecar.cluster.documents import text_hash
from sidecar.domain import JsonObject, JsonValue, ModelInfo, as_object
from sidecar.engine import META_KEY, ClusterInfo, Engine, IndexMeta, dialect_of
from sidecar.engine.passage_field import VECTOR
from sidecar.engine.transport import path_of
from sidecar.engine.versions import Distribution
from sidecar.errors import EngineError, EngineRejected, IndexNotPrepared, InvalidInput, SidecarError

__all__ = ["Evidence", "Node", "Segment", "gather", "listed", "nested", "number"]

SAMPLED_DOCUMENTS = 200

DEFAULT_WINDOW = 10_000
"""`index.max_result_window` of an index that was left alone."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node: the share of heap and disk in use (0 to 1; None: not told), seconds its clock is ahead of ours."""

    name: str
    heap: float | None = None
    disk: float | None = None
    ahead: float | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a primary shard."""

    documents: int
    deleted: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known. None: it was not asked for, or could not be read (`unread` says what, and why).

    `settings` are the index's, `cluster_settings` those in force, both with dotted keys. Of the `documents`, `hashed`
    have the hash of a text, `present` a vector, and `without_text` the hash of no text, and rightly no vector. `sample`
    holds the stored fields of some documents that have a hash. `served` are the models of the sidecar that was named.
    `query` is a search body of an application. `migration` is the one that is open.
    """

    cluster: ClusterInfo
    index: str
    mapping: JsonObject = field(default_factory=dict)
    settings: JsonObject = field(default_factory=dict)
    cluster_settings: JsonObject = field(default_factory=dict)
    health: str | None = None
    nodes: tuple[Node, ...] = ()
    segments: tuple[Segment, ...] = ()
    documents: int = 0
    hashed: int | None = None
    present: int | None = None
    without_text: int = 0
    sample: tuple[JsonObject, ...] = ()
    search_pipelines: JsonObject = field(default_factory=dict)
    served: tuple[ModelInfo, ...] | None = None
    query: JsonObject | None = None
    migration: OpenMigration | None = None
    unread: tuple[tuple[str, str], ...] = ()

    @property
    def result_window(self) -> int:
        """How many documents one search may fetch; what clusters have by default where the index does not say."""
        return int(number(self.settings.get("index.max_result_window")) or DEFAULT_WINDOW)

    @property
    def meta(self) -> IndexMeta | None:
        """The index's record; None where it has none, or one that can't be read."""
        try:
            return IndexMeta.parse(self.index, nested(self.mapping, "_meta", META_KEY))
        except IndexNotPrepared:
            return None

    @property
    def vector_mapping(self) -> JsonObject | None:
        """The mapping of the field that holds vectors, within the passages if there are; None where it is missing."""
        meta = self.meta
        found = None if meta is None else nested(self.mapping, "properties", meta.vector_field)
        if meta is not None and meta.passages is not None:
            found = nested(found, "properties", VECTOR)
        return found if isinstance(found, Mapping) else None

    def vectors(self) -> list[JsonObject]:
        """Return the stored vectors of the sample: of each document, or of each of its passages."""
        meta = self.meta
        values = [] if meta is None else [document.get(meta.vector_field) for document in self.sample]
        if meta is not None and meta.passages is not None:
            values = [nested(passage, VECTOR) for value in values for passage in listed(value)]
        return [value for value in values if isinstance(value, Mapping)]


async def gather(
    engine: Engine, index: str, *, served: Sequence[ModelInfo] | None = None, query: JsonObject | None = None
) -> Evidence:
    """Read everything; what this user may not read is left out and listed.

    Raises IndexNotFound, InvalidInput for an alias of several indices, EngineUnavailable.
    """
    mappings = await engine.mappings(index)
    if len(mappings) != 1:
        raise InvalidInput(f"{index} stands for {len(mappings)} indices: name one of them.", field="index")
    name, mapping = next(iter(mappings.items()))
    unread: list[tuple[str, str]] = []

    async def attempt(what: str, reading: Callable[[], Awaitable[JsonObject]]) -> JsonObject:
        try:
            return await reading()
        except EngineRejected as error:
            unread.append((what, error.message))
            return {}

    flat = {"flat_settings": "true"}
    every = {**flat, "include_defaults": "true"}
    settings = await attempt("index settings", lambda: engine.read("GET", path_of(name, "_settings"), flat))
    cluster = await attempt("cluster settings", lambda: engine.read("GET", "/_cluster/settings", every))
    health = await attempt("health", lambda: engine.read("GET", f"/_cluster/health{path_of(name)}"))
    before = time.time()
    stats = await attempt("node statistics", lambda: engine.read("GET", "/_nodes/stats/os,jvm,fs"))
    after = time.time()
    segments = await attempt("segments", lambda: engine.read("GET", path_of(name, "_segments")))
    info = await engine.cluster()
    pipelines = await attempt("search pipelines", lambda: _pipelines(engine, info))
    evidence = Evidence(
        cluster=info,
        index=name,
        mapping=mapping,
        settings=as_object(nested(settings, name, "settings")),
        cluster_settings={
            **as_object(cluster.get("defaults")),
            **as_object(cluster.get("persistent")),
            **as_object(cluster.get("transient")),
        },
        health=str(health["status"]) if "status" in health else None,
        nodes=tuple(_node(as_object(node), before, after) for node in as_object(stats.get("nodes")).values()),
        segments=tuple(_segments(segments, name)),
        search_pipelines=pipelines,
        served=None if served is None else tuple(served),
        query=query,
        unread=tuple(unread),
    )
    return await _with_migration(engine, await _with_documents(engine, evidence))


async def _with_migration(engine: Engine, evidence: Evidence) -> Evidence:
    try:
        found = await read_migration(engine, evidence.index, evidence.mapping.get("_meta"))
    except SidecarError as error:
        return replace(evidence, unread=(*evidence.unread, ("migration", error.message)))
    return replace(evidence, migration=found)


async def _with_documents(engine: Engine, evidence: Evidence) -> Evidence:
    meta = evidence.meta
    if meta is None:
        return evidence
    try:
        hashed = {"exists": {"field": meta.hash_field}}
        there = dialect_of(meta).presence_filter(meta.vector_field, meta.fingerprint)
        empty: JsonObject = {"term": {meta.hash_field: text_hash("")}}
        sampled = min(SAMPLED_DOCUMENTS, evidence.result_window)
        body: JsonObject = {"query": hashed, "size": sampled, "_source": [meta.vector_field]}
        answer = await engine.read("POST", path_of(evidence.index, "_search"), body=body)
        hits = nested(answer, "hits", "hits")
        return replace(
            evidence,
            documents=await engine.count(evidence.index),
            hashed=await engine.count(evidence.index, hashed),
            present=await engine.count(evidence.index, there),
            without_text=await engine.count(evidence.index, {"bool": {"filter": [empty], "must_not": [there]}}),
            sample=tuple(as_object(as_object(hit).get("_source")) for hit in listed(hits)),
        )
    except EngineError as error:
        return replace(evidence, unread=(*evidence.unread, ("documents", error.message)))


async def _pipelines(engine: Engine, cluster: ClusterInfo) -> JsonObject:
    if cluster.distribution is not Distribution.OPENSEARCH:
        # There are none elsewhere, and to ask for them is an error.
        return {}
    return await engine.find("/_search/pipeline") or {}


def _node(node: JsonObject, before: float, after: float) -> Node:
    total, available = nested(node, "fs", "total", "total_in_bytes"), nested(node, "fs", "total", "available_in_bytes")
    heap = number(nested(node, "jvm", "mem", "heap_used_percent"))
    size, left = number(total), number(available)
    clock = number(nested(node, "os", "timestamp"))
    # What the answer's way took can't be told from a wrong clock.
    ahead = None if clock is None else max(clock / 1000.0 - after, 0.0) or min(clock / 1000.0 - before, 0.0)
    return Node(
        str(node.get("name", "")),
        None if heap is None else heap / 100.0,
        None if not size or left is None else 1.0 - left / size,
        ahead,
    )


def _segments(answer: JsonObject, index: str) -> list[Segment]:
    found: list[Segment] = []
    for shards in as_object(nested(answer, "indices", index, "shards")).values():
        for shard in listed(shards):
            if nested(shard, "routing", "primary") is True:
                for segment in as_object(nested(shard, "segments")).values():
                    documents, deleted = nested(segment, "num_docs"), nested(segment, "deleted_docs")
                    found.append(Segment(int(number(documents) or 0), int(number(deleted) or 0)))
    return found


def nested(value: JsonValue, *keys: str) -> JsonValue:
    """Return what lies under `keys`, or None."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def listed(value: JsonValue) -> list[JsonValue]:
    """Return a JSON list, or an empty one."""
    return list(value) if isinstance(value, list | tuple) else []


def number(value: JsonValue) -> float | None:
    """Return a number, also one in a string; None where it is none."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(str(value))
    except ValueError:
        return None
