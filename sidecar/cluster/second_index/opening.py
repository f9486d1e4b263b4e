"""`sidecar migrate start --into`: an index for the new model that is the old one's twin in all else."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.cluster.fields import missing_properties
from sidecar.cluster.migrate.limits import require_blocks, require_whole_vectors
from sidecar.cluster.migrate.state import Migrating, look, now
from sidecar.cluster.mirror.pair import Pair, find_pair, names_behind
from sidecar.cluster.mirror.record import SecondIndexRecord
from sidecar.cluster.pipelines import beside_index, plan_search_pipeline
from sidecar.cluster.record import SetupRecord
from sidecar.cluster.requests import Request, send_all
from sidecar.cluster.second_index.inherited import INGEST_SETTINGS, NO_PIPELINE, read_inherited, take_aliases
from sidecar.cluster.setup import IN_CLUSTER_DIALECTS
from sidecar.cluster.spec import IndexSpec
from sidecar.cluster.unstored import unstored
from sidecar.domain import JsonObject, ModelInfo, as_object
from sidecar.engine import META_KEY, Engine, IndexMeta, dialect_of, own_fields, require_new_name, require_one_name
from sidecar.engine.transport import path_of
from sidecar.errors import InvalidInput

__all__ = ["SecondIndexPlan", "plan_second_index", "start_second_index"]

OWN_SETTINGS = frozenset(
    {"index.creation_date", "index.uuid", "index.provided_name", "index.verified_before_close", *INGEST_SETTINGS}
)
OWN_PREFIXES = (
    "index.version.",
    "index.blocks.",
    "index.resize.",
    "index.history.",
    "index.lifecycle.",
    "index.plugins.index_state_management.",
    "index.opendistro.index_state_management.",
    "index.routing.allocation.initial_recovery.",
)
"""Settings that a cluster gives to one index, or that a policy which rolls indices over goes by."""


@dataclass(frozen=True, slots=True)
class SecondIndexPlan:
    """What has to be sent. No requests: this migration is open already. `notes`: what the operator has to know."""

    record: SecondIndexRecord
    previous: IndexMeta
    candidate: IndexMeta
    requests: tuple[Request, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """What the migration is, in a sentence."""
        record = self.record
        return (
            f"{record.alias}: {self.previous.bundle} in {record.first} -> {self.candidate.bundle}, in the index"
            f" {record.second}."
        )

    async def apply(self, engine: Engine) -> None:
        """Send the requests in order: the old index says what it is for before the new one is made."""
        await send_all(engine, self.requests)
        engine.forget(self.record.alias)
        if self.requests:
            # Of templates that this user may not see.
            await take_aliases(engine, self.record.second)


async def start_second_index(
    engine: Engine, index: str, into: str, model: ModelInfo, *, largest_weight: float | None = None
) -> SecondIndexPlan:
    """Open a migration into a second index; a second time changes nothing. Returns what was done."""
    plan = await plan_second_index(engine, index, into, model, largest_weight=largest_weight)
    await plan.apply(engine)
    return plan


async def plan_second_index(
    engine: Engine, index: str, into: str, model: ModelInfo, *, largest_weight: float | None = None
) -> SecondIndexPlan:
    """Find out what has to be sent; sends nothing that changes anything.

    The new index gets the settings, analysers, fields and other entries of `_meta` of the old one; vectors lie in the
    same fields. Raises InvalidInput where `index` is no alias of one index, an index `into` exists that is not ours, or
    another migration is open, UnsupportedEngine where the cluster is too old for it.
    """
    require_one_name(into, field="into")
    found = await look(engine, index)
    pair = await find_pair(engine, index)
    if pair is None:
        await _require_movable(engine, found, index, into, model)
        record = SecondIndexRecord(alias=index, first=found.index, second=into, begun=now())
        pointer: JsonObject = {"_meta": {**found.entries, **record.to_mapping()}}
        opening = [Request("PUT", path_of(found.index, "_mapping"), pointer)]
    else:
        record, opening = pair.record, []
        candidate = _require_same(pair, into, model)
        if candidate is not None:
            return SecondIndexPlan(record, found.active, candidate)
        await _require_free(engine, into)
    meta = found.active.model_copy(
        update={
            "fingerprint": model.fingerprint,
            "bundle": model.name,
            "pruning": _spec(found, into, model, largest_weight).meta(found.active.dialect).pruning,
        }
    )
    inherited = await read_inherited(engine, into)
    inherited.require_no_alias(into)
    without = dict.fromkeys(inherited.pipelines, NO_PIPELINE)
    body, beside = await _body(engine, found, record, model, meta, largest_weight)
    body = {**body, "settings": {**as_object(body["settings"]), **without}}
    requests = (*opening, Request("PUT", path_of(into), body), *beside)
    return SecondIndexPlan(record, found.active, meta, requests, _notes(found, record, model))


def how_to_get_an_alias(index: str) -> str:
    """Return what an operator has to do so that an application's name is an alias."""
    renamed = f"{index}-1"
    swap = (
        f'{{"actions":[{{"remove_index":{{"index":"{index}"}}}},'
        f'{{"add":{{"index":"{renamed}","alias":"{index}","is_write_index":true}}}}]}}'
    )
    return (
        f"{index} is an index, and only an alias can be pointed at another one. Nothing was changed. Once, while"
        f" nobody writes: PUT /{index}/_block/write; POST /{index}/_clone/{renamed}; wait until {renamed} is green or"
        f" yellow and has as many documents; POST /_aliases {swap} (this deletes the old copy);"
        f' PUT /{renamed}/_settings {{"index.blocks.write": null}}. Applications keep the name {index}. Or leave --into'
        " out: the new model's vectors then come into the same index."
    )


async def _require_movable(engine: Engine, found: Migrating, index: str, into: str, model: ModelInfo) -> None:
    if found.index == index:
        raise InvalidInput(how_to_get_an_alias(index), field="index")
    if found.index not in await names_behind(engine, index):
        raise InvalidInput(
            f"{index} is no alias (a data stream?): it can't be pointed at another index.", field="index"
        )
    if found.record is not None:
        raise InvalidInput(
            f"{found.index} is being migrated to {found.record.candidate.bundle} in a second field: end that by"
            " `sidecar migrate drop` or `abort` first.",
            field="index",
        )
    if model.fingerprint == found.active.fingerprint:
        raise InvalidInput(f"{found.index} is encoded by {model.name} already: name another --model.", field="model")
    setup = SetupRecord.parse(found.index, found.entries) or SetupRecord()
    if setup.connector is not None:
        raise InvalidInput(
            f"The cluster itself encodes for {found.index}, by a connector to one model: `sidecar teardown` that first,"
            " or set a new index up with a connector of its own and point the alias at it.",
            field="index",
        )
    unsuitable = dialect_of(found.active).unsuitable_because(model.vocabulary_size)
    if unsuitable is not None:
        raise InvalidInput(unsuitable, field="model")
    _require_whole_sources(found)
    require_blocks(engine.info)
    await require_whole_vectors(engine, found.index, found.active.dialect, engine.info)
    await _require_free(engine, into)


async def _require_free(engine: Engine, into: str) -> None:
    require_new_name(into, field="into")
    if await engine.index_exists(into):
        raise InvalidInput(f"{into} exists already, and is not this migration's: name another --into.", field="into")


def _require_whole_sources(found: Migrating) -> None:
    """A document is copied from its `_source`, and compared there: also a vector that is left out would be missed."""
    lost = unstored(found.mapping)
    if lost is not None:
        raise InvalidInput(
            f"{found.index} does not keep whole documents in _source, which leaves {lost} out: a copy would lack that,"
            " and a second model's vectors can't be added either. Make an index that keeps whole documents, and index"
            " into it.",
            field="into",
        )


def _require_same(pair: Pair, into: str, model: ModelInfo) -> IndexMeta | None:
    """Return the record of the new index; None where it is still to be made."""
    if pair.record.second != into:
        raise InvalidInput(
            f"{pair.record.alias} is being migrated into {pair.record.second}: end that by `sidecar migrate drop` or"
            " `abort` first.",
            field="into",
        )
    if pair.second is None:
        return None
    if pair.second.meta.fingerprint != model.fingerprint:
        raise InvalidInput(
            f"{pair.record.second} was made for {pair.second.meta.bundle}: end that migration by `sidecar migrate"
            " drop` or `abort` first.",
            field="model",
        )
    if pair.swapped:
        raise InvalidInput(
            f"{pair.record.alias} stands for {into} already: see `sidecar migrate status`.", field="index"
        )
    return pair.second.meta


async def _body(
    engine: Engine,
    found: Migrating,
    record: SecondIndexRecord,
    model: ModelInfo,
    meta: IndexMeta,
    largest_weight: float | None,
) -> tuple[JsonObject, list[Request]]:
    dialect = dialect_of(meta)
    answer = await engine.read("GET", path_of(found.index, "_settings"), {"flat_settings": "true"})
    given = as_object(as_object(answer.get(found.index)).get("settings"))
    settings = {key: value for key, value in given.items() if _is_copied(key)}
    ours = own_fields(meta)
    properties = as_object(found.mapping.get("properties"))
    kept = {name: value for name, value in properties.items() if name not in ours}
    added = missing_properties(record.second, _spec(found, record.second, model, largest_weight), dialect, kept)
    in_cluster = _has_search_pipeline(meta)
    before = SetupRecord.parse(found.index, found.entries) or SetupRecord()
    # What a teardown may delete with its documents is the same as before: an index of setup's own, and no other.
    setup = SetupRecord(
        created_index=before.created_index,
        added_fields=() if before.created_index else tuple(added),
        search_pipeline=beside_index(record.second) if in_cluster else None,
    )
    theirs = {key: value for key, value in found.entries.items() if not key.startswith(META_KEY)}
    entries: JsonObject = {**theirs, **meta.to_mapping(), **setup.to_mapping(), **record.to_mapping()}
    mappings: JsonObject = {**found.mapping, "_meta": entries, "properties": {**kept, **added}}
    beside = await plan_search_pipeline(engine, record.second, None) if in_cluster else []
    return {"settings": settings, "mappings": mappings}, beside


def _has_search_pipeline(meta: IndexMeta) -> bool:
    """Whether setup makes a search pipeline for such an index: its two phases do not reach into nested queries."""
    return meta.dialect in IN_CLUSTER_DIALECTS and meta.passages is None


def _is_copied(setting: str) -> bool:
    return setting not in OWN_SETTINGS and not setting.startswith(OWN_PREFIXES)


def _spec(found: Migrating, into: str, model: ModelInfo, largest_weight: float | None) -> IndexSpec:
    meta = found.active
    return IndexSpec(
        into,
        model,
        source_fields=meta.source_fields,
        lexical_field=meta.lexical_field,
        vector_field=meta.vector_field,
        hash_field=meta.hash_field,
        largest_weight=largest_weight,
        passages=meta.passages,
    )


def _notes(found: Migrating, record: SecondIndexRecord, model: ModelInfo) -> tuple[str, ...]:
    notes = [
        f"Until the end of the migration, keep a sidecar that serves both {found.active.bundle} and {model.name}, and"
        f" write by the name {record.alias} alone.",
    ]
    setup = SetupRecord.parse(found.index, found.entries) or SetupRecord()
    if setup.search_pipeline is not None and _has_search_pipeline(found.active):
        notes.append(
            f"Searches that name the pipeline {setup.search_pipeline} have to name {beside_index(record.second)} after"
            " the swap: `drop` deletes the old one, unless the new index has it as its default."
        )
    return (*notes, *setup.template_notes(found.active.bundle))
