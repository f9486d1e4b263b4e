"""`sidecar teardown`: undoes what `sidecar setup` did to a cluster, and nothing else.

What it did is in the index's record. No cluster removes a field from a mapping: an index that existed before keeps
the definitions of the added fields, without a value in them where `vectors` is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sidecar.cluster.connectors import SIDES, TRUSTED, find_named, resource_name
from sidecar.cluster.mirror.record import SecondIndexRecord
from sidecar.cluster.record import SetupRecord
from sidecar.cluster.removal import remove_fields, removing_round
from sidecar.cluster.requests import Request, send_all
from sidecar.cluster.unstored import require_stored, unstored
from sidecar.domain import JsonObject, JsonValue, as_object
from sidecar.engine import META_KEY, Engine, IndexMeta, MigrationRecord, own_fields, require_one_name
from sidecar.engine.transport import path_of
from sidecar.errors import EngineRejected, IndexNotPrepared, InvalidInput

__all__ = ["Progress", "TeardownPlan", "plan_teardown", "tear_down"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class TeardownPlan:
    """What has to be sent, and what will be left behind, in words.

    `vectors` are the fields that are taken out of every document, those of one model after the other, before the last
    of the `requests` is sent; each is found by its last field. `refusal` says why nothing is sent as it stands; None:
    it is.
    """

    index: str
    requests: tuple[Request, ...]
    vectors: tuple[tuple[str, ...], ...] = ()
    left: tuple[str, ...] = ()
    refusal: str | None = None

    @property
    def shown(self) -> tuple[Request, ...]:
        """The requests in the order in which they are sent; the rounds that take vectors out once each."""
        rounds = (removing_round(self.index, one, found_by=one[-1], side_by_side=True) for one in self.vectors)
        return (*self.requests[:-1], *rounds, *self.requests[-1:])

    async def apply(
        self, engine: Engine, *, progress: Progress | None = None, stopped: Callable[[], bool] = lambda: False
    ) -> None:
        """Send the requests in order; the record goes last, so that a teardown that was cut short can be repeated.

        `progress` hears how many documents are without vectors, and how many there were to be; `stopped` is asked
        after every few thousand of them.

        Raises InvalidInput, with nothing sent, where documents would be deleted that nobody gave leave to delete, and
        what `remove_fields` raises.
        """
        if self.refusal is not None:
            raise InvalidInput(self.refusal, field="delete_documents")
        await send_all(engine, self.requests[:-1])
        for fields in self.vectors:
            await self._take_out(engine, fields, progress, stopped)
        await send_all(engine, self.requests[-1:])
        engine.forget(self.index)

    async def _take_out(
        self, engine: Engine, fields: tuple[str, ...], progress: Progress | None, stopped: Callable[[], bool]
    ) -> None:
        total = await _count(engine, self.index, {"exists": {"field": fields[-1]}})

        def tell(done: int) -> None:
            if progress is not None:
                progress(done, total)

        await remove_fields(
            engine, self.index, fields, found_by=fields[-1], side_by_side=True, progress=tell, stopped=stopped
        )


async def tear_down(
    engine: Engine, index: str, *, delete_documents: bool = False, vectors: bool = False
) -> TeardownPlan:
    """Undo what setup did for `index`; see `plan_teardown`. Raises InvalidInput where the plan is refused."""
    plan = await plan_teardown(engine, index, delete_documents=delete_documents, vectors=vectors)
    await plan.apply(engine)
    return plan


async def plan_teardown(
    engine: Engine, index: str, *, delete_documents: bool = False, vectors: bool = False
) -> TeardownPlan:
    """Find out what has to be undone; sends nothing that changes anything but a refresh.

    An index that setup made is deleted, with documents in it only if `delete_documents`: else the plan says why it is
    refused. From one that existed before, `vectors` also takes the vectors and hashes out of every document.

    Raises IndexNotFound, IndexNotPrepared where setup did nothing to the index, InvalidInput for an alias of several,
    for an index that is migrated into another one, and where taking vectors out would lose what is not in `_source`.
    """
    require_one_name(index)
    mappings = await engine.mappings(index)
    if len(mappings) != 1:
        raise InvalidInput(f"{index} stands for {len(mappings)} indices: name one of them.", field="index")
    name, mapping = next(iter(mappings.items()))
    others = as_object(mapping.get("_meta"))
    meta = IndexMeta.parse(name, others.get(META_KEY))
    second = SecondIndexRecord.parse(name, others)
    if second is not None:
        raise InvalidInput(
            f"{second.alias} is being migrated from {second.first} into {second.second}: end that by `sidecar migrate"
            " drop` or `abort` first.",
            field="index",
        )
    record = SetupRecord.parse(name, others)
    if record is None:
        raise IndexNotPrepared(
            f"Index {name} has no record of a setup: an index template made it, or a version that kept none. Run"
            f" `sidecar setup --index {name}` once, then teardown."
        )
    requests, left = await _beside(engine, name, record)
    if record.created_index:
        documents = 0 if delete_documents else await _count(engine, name)
        refusal = (
            f"Index {name} was made by setup and holds {documents} documents now: give --delete-documents to delete"
            " them with it."
            if documents
            else None
        )
        deletion = Request("DELETE", path_of(name))
        return TeardownPlan(name, (*requests, deletion), left=tuple(left), refusal=refusal)
    migration = MigrationRecord.parse(name, others)
    models = [meta] if migration is None else [meta, migration.other]
    fields = [own_fields(one) for one in models]
    ours = tuple(field for of_model in fields for field in of_model)
    if vectors:
        require_stored(name, mapping, ours)
    for of_model in () if vectors else fields:
        if await _count(engine, name, {"exists": {"field": of_model[-1]}}):
            left.append(
                f"Documents of {name} still hold vectors: "
                + (
                    "--vectors takes them out, also later, after another `sidecar setup`."
                    if unstored(mapping, ours) is None
                    else "to take them out would lose what the index leaves out of _source."
                )
            )
    left.append(
        f"{name} keeps the definitions of {', '.join(ours)}: no cluster removes a field from a mapping; reindexing into"
        " an index without them does."
    )
    kept = {key: value for key, value in others.items() if not key.startswith(META_KEY)}
    forgotten: JsonObject = {"_meta": kept}
    requests.append(Request("PUT", path_of(name, "_mapping"), forgotten))
    return TeardownPlan(name, tuple(requests), tuple(fields) if vectors else (), tuple(dict.fromkeys(left)))


async def _count(engine: Engine, index: str, query: JsonObject | None = None) -> int:
    # What was written and is not searchable yet (`refresh_interval`) is in the index, and not in its count.
    await engine.refresh(index)
    return await engine.count(index, query)


async def _beside(engine: Engine, index: str, record: SetupRecord) -> tuple[list[Request], list[str]]:
    requests: list[Request] = []
    for kind, made in (
        (("_index_template",), record.index_template),
        (("_search", "pipeline"), record.search_pipeline),
        (("_ingest", "pipeline"), record.ingest_pipeline),
    ):
        if made is not None and await engine.find(path_of(*kind, made)):
            requests.append(Request("DELETE", path_of(*kind, made)))
    if record.connector is None:
        return requests, []
    for side in SIDES:
        for model in await find_named(engine, "models", resource_name(index, side)):
            requests.append(Request("POST", f"/_plugins/_ml/models/{model}/_undeploy"))
            requests.append(Request("DELETE", f"/_plugins/_ml/models/{model}"))
        for connector in await find_named(engine, "connectors", resource_name(index, side)):
            requests.append(Request("DELETE", f"/_plugins/_ml/connectors/{connector}"))
    settings, left = await _settings(engine, index, record)
    return [*requests, *settings], left


async def _settings(engine: Engine, index: str, record: SetupRecord) -> tuple[list[Request], list[str]]:
    if not record.cluster_settings:
        return [], []
    try:
        users = await _other_users(engine, index)
    except EngineRejected as error:
        return [], [f"The cluster settings stay as they are: other indices may need them. {error.message}"]
    if users:
        return [], [f"The cluster settings stay as they are: {', '.join(users)} has a connector too."]
    answer = await engine.read("GET", "/_cluster/settings", {"flat_settings": "true"})
    persistent = as_object(answer.get("persistent"))
    restored: dict[str, JsonValue] = {}
    left: list[str] = []
    for key, change in record.cluster_settings.items():
        before: JsonValue = change.before
        now = persistent.get(key)
        if _same(now, change.after):
            restored[key] = before
        elif key == TRUSTED and isinstance(now, list) and isinstance(change.after, list):
            ours = change.after[-1]
            restored[key] = [pattern for pattern in now if pattern != ours]
        else:
            left.append(f"{key} was changed by somebody else since, and stays as it is.")
    return ([Request("PUT", "/_cluster/settings", {"persistent": restored})] if restored else []), left


async def _other_users(engine: Engine, index: str) -> list[str]:
    """Return the other indices that have a connector; raises EngineRejected where this user may not see them."""
    found: list[str] = []
    for name, mapping in sorted((await engine.mappings("*")).items()):
        try:
            other = SetupRecord.parse(name, mapping.get("_meta"))
        except IndexNotPrepared:
            continue
        if name != index and other is not None and other.connector is not None:
            found.append(name)
    return found


def _same(now: JsonValue, after: JsonValue | object) -> bool:
    return now == after or str(now).lower() == str(after).lower()
