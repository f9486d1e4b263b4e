"""`sidecar setup`: gives an index the fields for sparse vectors, and the record of which model fills them.

With the neural-search plugin it also gets a search pipeline, with a connector models and an ingest pipeline; on request
a template for indices to come. What was done is recorded in the index's mapping, for `sidecar teardown`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sidecar.cluster.connectors import ConnectorSpec, plan_connectors, plan_settings
from sidecar.cluster.fields import (
    EXCLUDED_VECTORS,
    excludes_vectors,
    files_of,
    missing_properties,
    names_in_files,
    require_lexical_field,
    require_source_fields,
    with_ceiling,
)
from sidecar.cluster.pipelines import (
    beside_index,
    plan_index_template,
    plan_ingest_pipeline,
    plan_search_pipeline,
)
from sidecar.cluster.record import SETUP_KEY, SettingChange, SetupRecord
from sidecar.cluster.requests import Request, send_all
from sidecar.cluster.spec import IndexSpec
from sidecar.cluster.templates import index_template
from sidecar.domain import JsonObject, as_object
from sidecar.engine import (
    META_KEY,
    Dialect,
    DialectChoice,
    Engine,
    IndexMeta,
    PassageField,
    choose_dialect,
    require_new_name,
)
from sidecar.engine.transport import path_of
from sidecar.engine.versions import ML_COMMONS, NEURAL_SEARCH, ClusterInfo
from sidecar.errors import FingerprintMismatch, IndexNotFound, InvalidInput, UnsupportedEngine

__all__ = ["IndexSpec", "Request", "SetupPlan", "plan_setup", "set_up"]

BACKING_INDEX = ".ds-"
"""How the names of a data stream's indices begin."""

IN_CLUSTER_DIALECTS = ("neural_sparse", "seismic")
"""Dialects whose stored form is the one that a connector's answer has."""


@dataclass(frozen=True, slots=True)
class SetupPlan:
    """What has to be sent, and what the index will say about itself. No requests: it is set up already.

    `reasons` tell why the dialect was taken; `creates`: the index does not exist yet.
    """

    index: str
    meta: IndexMeta
    creates: bool
    requests: tuple[Request, ...] = ()
    reasons: tuple[str, ...] = ()

    async def apply(self, engine: Engine) -> None:
        """Send the requests in order; what a failure leaves undone, the next setup does."""
        await send_all(engine, self.requests)
        engine.forget(self.index)


@dataclass(frozen=True, slots=True)
class _Found:
    """The index as it is: its own name, mapping, and what earlier setups recorded. Name None: it does not exist."""

    name: str | None
    mapping: JsonObject
    record: SetupRecord | None

    @property
    def others(self) -> JsonObject:
        """All of `_meta`."""
        return as_object(self.mapping.get("_meta"))


async def set_up(engine: Engine, spec: IndexSpec) -> SetupPlan:
    """Set an index up, whether it exists or not; a second time changes nothing. Returns what was done."""
    plan = await plan_setup(engine, spec)
    await plan.apply(engine)
    return plan


async def plan_setup(engine: Engine, spec: IndexSpec) -> SetupPlan:
    """Find out what has to be sent; sends nothing that changes anything.

    Raises FingerprintMismatch where the index was set up for another model, InvalidInput where it was set up with other
    fields, lacks those that are named, or can't be called so, EngineRejected where a field of that name has another
    type, UnsupportedEngine where the cluster lacks what is asked for.
    """
    found = await _find(engine, spec.index)
    if found.name is None:
        require_new_name(spec.index)
    if found.name is None or spec.template is not None:
        spec.require_copies()
    index = found.name or spec.index
    cluster = await engine.cluster()
    choice = choose_dialect(cluster, spec.dialect or _recorded_dialect(found))
    dialect: Dialect = choice.dialect if spec.passages is None else PassageField(choice.dialect)
    _require_suitable(spec, dialect, cluster)
    meta = spec.meta(dialect.name)
    beside, record = await _plan_beside(engine, index, spec, meta, dialect, cluster, found.record or SetupRecord())
    if found.name is None:
        first = [_creation(spec, meta, dialect, cluster, record.model_copy(update={"created_index": True}))]
    else:
        if dialect.name == "seismic":
            await _require_sparse_index(engine, index)
        if META_KEY not in found.others:
            await require_source_fields(engine, index, spec, found.mapping)
        first = _addition(index, spec, meta, dialect, found, record)
    return SetupPlan(index, meta, found.name is None, (*first, *beside), (*_reasons(choice), *_later_indices(index)))


async def _find(engine: Engine, index: str) -> _Found:
    try:
        mappings = await engine.mappings(index)
    except IndexNotFound:
        return _Found(None, {}, None)
    if len(mappings) != 1:
        raise InvalidInput(f"{index} stands for {len(mappings)} indices: name one of them.", field="index")
    name, mapping = next(iter(mappings.items()))
    return _Found(name, mapping, SetupRecord.parse(name, mapping.get("_meta")))


async def _plan_beside(
    engine: Engine,
    index: str,
    spec: IndexSpec,
    meta: IndexMeta,
    dialect: Dialect,
    cluster: ClusterInfo,
    record: SetupRecord,
) -> tuple[list[Request], SetupRecord]:
    """Plan what is made beside the index, and enter it into the record."""
    requests: list[Request] = []
    known: dict[str, str] | None = None
    connector = spec.connector
    if connector is not None:
        _require_connectable(connector, dialect, record)
        settings, changes = await plan_settings(engine, connector)
        made, known = await plan_connectors(
            engine, index, connector, spec.model.name, by_term_id=dialect.name == "seismic"
        )
        requests += [*settings, *made, *await plan_ingest_pipeline(engine, index, meta, dialect, known)]
        record = record.model_copy(
            update={
                "connector": connector.endpoint,
                "ingest_pipeline": beside_index(index),
                "cluster_settings": _merged(record.cluster_settings, changes),
            }
        )
    # The pipeline's two phases do not reach into nested queries.
    if dialect.name in IN_CLUSTER_DIALECTS and spec.passages is None:
        if known is not None or record.connector is None:
            requests += await plan_search_pipeline(engine, index, known)
        record = record.model_copy(update={"search_pipeline": beside_index(index)})
    if spec.template is not None:
        body = _index_body(spec, meta, dialect, cluster, {})
        requests += await plan_index_template(engine, index, spec.template, body)
        record = record.model_copy(update={"index_template": beside_index(index)})
    return requests, record


def _merged(before: Mapping[str, SettingChange], now: Mapping[str, SettingChange]) -> dict[str, SettingChange]:
    """Keep what a setting was before the first of our changes."""
    kept = dict(before)
    for key, change in now.items():
        first = kept.get(key)
        kept[key] = change if first is None else first.model_copy(update={"after": change.after})
    return kept


def _creation(spec: IndexSpec, meta: IndexMeta, dialect: Dialect, cluster: ClusterInfo, record: SetupRecord) -> Request:
    return Request("PUT", path_of(spec.index), _index_body(spec, meta, dialect, cluster, record.to_mapping()))


def _index_body(
    spec: IndexSpec, meta: IndexMeta, dialect: Dialect, cluster: ClusterInfo, more_meta: JsonObject
) -> JsonObject:
    body = index_template(files_of(spec, meta.dialect), names_in_files(spec, dialect), spec.source_fields)
    mappings, settings = as_object(body.get("mappings")), as_object(body.get("settings"))
    given: JsonObject = (
        {EXCLUDED_VECTORS.removeprefix("index."): False} if excludes_vectors(meta.dialect, cluster) else {}
    )
    if given or spec.settings:
        settings = {**settings, "index": {**as_object(settings.get("index")), **given, **spec.settings}}
    properties = with_ceiling(as_object(mappings.get("properties")), spec)
    record = {**meta.to_mapping(), **more_meta}
    return {**body, "settings": settings, "mappings": {"_meta": record, **mappings, "properties": properties}}


def _addition(
    name: str, spec: IndexSpec, meta: IndexMeta, dialect: Dialect, found: _Found, record: SetupRecord
) -> list[Request]:
    recorded = found.others.get(META_KEY)
    properties = as_object(found.mapping.get("properties"))
    if recorded is not None:
        _require_same(name, IndexMeta.parse(name, recorded), meta)
    else:
        require_lexical_field(name, spec, properties)
    missing = missing_properties(name, spec, dialect, properties)
    if not record.created_index:
        record = record.model_copy(update={"added_fields": tuple(dict.fromkeys([*record.added_fields, *missing]))})
    if recorded is not None and not missing and found.others.get(SETUP_KEY) == record.to_mapping()[SETUP_KEY]:
        return []
    # The cluster replaces `_meta` as a whole: what others wrote there stays.
    entered = {**found.others, **({} if recorded is not None else meta.to_mapping()), **record.to_mapping()}
    return [Request("PUT", path_of(name, "_mapping"), {"_meta": entered, "properties": missing})]


def _reasons(choice: DialectChoice) -> tuple[str, ...]:
    return (choice.reason, *choice.passed_over)


def _later_indices(name: str) -> tuple[str, ...]:
    """Say what becomes of the next index of a data stream; of an index of another kind there is nothing to say."""
    if not name.startswith(BACKING_INDEX):
        return ()
    return (
        f"{name} belongs to a data stream: its next index has fields and _meta only if the stream's own template has"
        " them.",
    )


def _recorded_dialect(found: _Found) -> str | None:
    recorded = found.others.get(META_KEY)
    return IndexMeta.parse(found.name or "", recorded).dialect if recorded is not None else None


def _require_suitable(spec: IndexSpec, dialect: Dialect, cluster: ClusterInfo) -> None:
    reason = dialect.unsuitable_because(spec.model.vocabulary_size)
    if reason is not None:
        raise InvalidInput(reason, field="dialect")
    if spec.connector is not None and cluster.lacks(ML_COMMONS) is not None:
        raise UnsupportedEngine(f"A connector needs ml-commons. {cluster.lacks(ML_COMMONS)}")
    if spec.connector is not None and cluster.lacks(NEURAL_SEARCH) is not None:
        raise UnsupportedEngine(f"An ingest pipeline needs neural-search. {cluster.lacks(NEURAL_SEARCH)}")


def _require_connectable(connector: ConnectorSpec, dialect: Dialect, record: SetupRecord) -> None:
    if dialect.name not in IN_CLUSTER_DIALECTS:
        raise InvalidInput(
            f"A connector writes terms as they are, and {dialect.name} escapes them: take --dialect neural_sparse.",
            field="connector",
        )
    if record.connector not in (None, connector.endpoint):
        raise InvalidInput(
            f"The index has a connector to {record.connector}: run `sidecar teardown` before giving another address.",
            field="connector",
        )


async def _require_sparse_index(engine: Engine, name: str) -> None:
    answer = await engine.read("GET", path_of(name, "_settings"), {"flat_settings": "true"})
    settings = as_object(as_object(answer.get(name)).get("settings"))
    if str(settings.get("index.sparse")).lower() != "true":
        raise InvalidInput(
            f"Index {name} was made without index.sparse, which can't be set later: a segment that reaches the"
            " approximate threshold would fail every search. Make a new index, or take --dialect neural_sparse.",
            field="dialect",
        )


def _require_same(name: str, recorded: IndexMeta, wanted: IndexMeta) -> None:
    if recorded.fingerprint != wanted.fingerprint:
        raise FingerprintMismatch(
            f"Index {name} was set up for {recorded.bundle} ({recorded.fingerprint[:16]}), not for {wanted.bundle}"
            f" ({wanted.fingerprint[:16]}): serve {recorded.bundle}, or roll the other one out by `sidecar migrate`."
        )
    different = [
        key
        for key in ("dialect", "vector_field", "hash_field", "source_fields", "lexical_field", "pruning", "passages")
        if getattr(recorded, key) != getattr(wanted, key)
    ]
    if different:
        raise InvalidInput(
            f"Index {name} was set up with other values of {', '.join(different)}: name those, or a new --index, or run"
            " `sidecar teardown` first.",
            field=different[0],
        )
