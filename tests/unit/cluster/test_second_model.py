"""Whole-document writes while a model is rolled out: they get the second model's vector, and nothing holds them up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from sidecar.cluster.documents import text_hash, write_action
from sidecar.cluster.second_model import SecondModel
from sidecar.domain import JsonObject, ModelInfo, ModelKind, SparseVector, Windows
from sidecar.engine import BulkAction, IndexMeta, MigrationRecord, MigrationState, dialect_named
from sidecar.errors import SidecarError, SidecarUnavailable, TextTooLong
from tests.unit.cluster.recorded import Recorded, recorded
from tests.unit.cluster.scripted import ScriptedSidecar

OLD = IndexMeta(fingerprint="aa" * 32, bundle="old", source_fields=("text",))
NEW = OLD.model_copy(
    update={"fingerprint": "bb" * 32, "bundle": "new", "vector_field": "splade_bb", "hash_field": "splade_bb_hash"}
)
MODELS = [
    ModelInfo(meta.bundle, ModelKind.SPARSE_ENCODER, meta.fingerprint, "Apache-2.0", 512, 30_522, "fp32")
    for meta in (OLD, NEW)
]


def mapping(state: MigrationState | None, active: IndexMeta = OLD) -> JsonObject:
    record = {} if state is None else MigrationRecord(state=state, candidate=NEW, previous=OLD).to_mapping()
    return {"mappings": {"_meta": {**active.to_mapping(), **record}}}


def written(name: str, text: str, meta: IndexMeta = OLD) -> BulkAction:
    vector = SparseVector((1,), (2.0,), ("old",)) if text else None
    fields: JsonObject = {"text": text, "price": 3}
    return write_action("shop", name, fields, text, vector, meta, dialect_named("rank_features"))


@asynccontextmanager
async def second_model(
    sidecar: ScriptedSidecar, *answers: JsonObject, seconds: float = 30.0, batch_characters: int = 65_536
) -> AsyncIterator[tuple[SecondModel, Recorded]]:
    async with recorded({"GET /shop/_mapping": list(answers)}) as (engine, cluster):
        yield (
            SecondModel(
                engine,
                sidecar.client,
                "shop",
                Windows(),
                batch_documents=2,
                batch_characters=batch_characters,
                seconds=seconds,
            ),
            cluster,
        )


async def test_every_document_gets_the_other_model_s_vector_beside_its_own() -> None:
    sidecar = ScriptedSidecar(MODELS)
    actions = [written("a", "fox"), written("b", "a wolf"), written("c", "")]
    async with second_model(sidecar, {"shop": mapping(MigrationState.FILLING)}) as (second, _):
        done = await second.added(actions, OLD)
    assert [one.id for one in done] == ["a", "b", "c"]
    for before, after in zip(actions, done, strict=True):
        assert before.document is not None
        assert after.document is not None
        added = {name: value for name, value in after.document.items() if name not in before.document}
        assert {**after.document, **before.document} == dict(after.document), "what was there stays as it was"
        text = before.document["text"]
        vector = {"splade_bb": {"length": float(len(text)), "_splade_bbbbbbbbbbbbbbbb": 1.0}} if text else {}
        assert added == {"splade_bb_hash": text_hash(text), **vector}


@pytest.mark.parametrize(
    ("state", "active", "first", "second"),
    [
        (MigrationState.FILLING, OLD, OLD, "splade_bb"),
        (MigrationState.FILLING, OLD, NEW, "splade"),
        (MigrationState.SWAPPED, NEW, NEW, "splade"),
        (MigrationState.SWAPPED, NEW, OLD, "splade_bb"),
        (MigrationState.DROPPING, NEW, NEW, None),
        (MigrationState.ABORTING, OLD, OLD, None),
        (None, OLD, OLD, None),
    ],
)
async def test_which_field_is_added_at_every_step(
    state: MigrationState | None, active: IndexMeta, first: IndexMeta, second: str | None
) -> None:
    sidecar = ScriptedSidecar(MODELS)
    action = written("a", "fox", first)
    async with second_model(sidecar, {"shop": mapping(state, active)}) as (model, _):
        (done,) = await model.added([action], first)
    assert done.document is not None
    assert action.document is not None
    added = {name for name in done.document if name not in action.document}
    assert added == (set() if second is None else {second, f"{second}_hash"})


@pytest.mark.parametrize("error", [SidecarUnavailable("gone"), SidecarError("broken")])
async def test_a_sidecar_that_is_gone_holds_no_write_up(error: SidecarError) -> None:
    sidecar = ScriptedSidecar(MODELS)
    sidecar.gone = error
    actions = [written("a", "fox")]
    async with second_model(sidecar, {"shop": mapping(MigrationState.FILLING)}) as (second, _):
        assert await second.added(actions, OLD) == actions


async def test_a_model_that_is_not_served_holds_no_write_up() -> None:
    actions = [written("a", "fox")]
    async with second_model(ScriptedSidecar(MODELS[:1]), {"shop": mapping(MigrationState.FILLING)}) as (second, _):
        assert await second.added(actions, OLD) == actions
    async with second_model(ScriptedSidecar(), {"shop": mapping(MigrationState.FILLING)}) as (second, _):
        assert await second.added(actions, OLD) == actions


async def test_an_index_that_can_not_be_read_holds_no_write_up() -> None:
    actions = [written("a", "fox")]
    async with second_model(ScriptedSidecar(MODELS), {"shop": {"mappings": {}}}) as (second, _):
        assert await second.added(actions, OLD) == actions


async def test_a_text_that_is_refused_costs_only_its_own_second_vector() -> None:
    sidecar = ScriptedSidecar(MODELS, {"bad": TextTooLong("too long")})
    actions = [written("a", "fox"), written("b", "bad"), written("c", "wolf")]
    async with second_model(sidecar, {"shop": mapping(MigrationState.FILLING)}) as (second, _):
        done = await second.added(actions, OLD)
    assert done[1] == actions[1]
    assert all("splade_bb" in (one.document or {}) for one in (done[0], done[2]))


async def test_what_the_index_says_is_believed_for_a_while() -> None:
    answers = [{"shop": mapping(None)}] * 2 + [{"shop": mapping(MigrationState.FILLING)}]
    async with second_model(ScriptedSidecar(MODELS), *answers) as (second, cluster):
        for _ in range(4):
            assert await second.added([written("a", "fox")], OLD) == [written("a", "fox")]
        assert [path for _, path, _ in cluster.asked].count("/shop/_mapping") == 2
    async with second_model(ScriptedSidecar(MODELS), *answers, seconds=-1.0) as (second, _):
        assert "splade_bb" not in ((await second.added([written("a", "fox")], OLD))[0].document or {})
        assert "splade_bb" in ((await second.added([written("a", "fox")], OLD))[0].document or {})


async def test_several_indices_behind_a_name_have_no_second_model() -> None:
    both = {name: mapping(MigrationState.FILLING) for name in ("shop-1", "shop-2")}
    actions = [written("a", "fox")]
    async with second_model(ScriptedSidecar(MODELS), both) as (second, _):
        assert await second.added(actions, OLD) == actions


@pytest.mark.parametrize(("characters", "batches"), [(65_536, [2, 2, 1]), (4, [1, 1, 1, 1, 1]), (6, [2, 2, 1])])
async def test_texts_are_sent_in_batches_of_bounded_size(characters: int, batches: list[int]) -> None:
    sidecar = ScriptedSidecar(MODELS)
    answer = {"shop": mapping(MigrationState.FILLING)}
    async with second_model(sidecar, answer, batch_characters=characters) as (second, _):
        await second.added([written(str(number), "fox") for number in range(5)], OLD)
    assert [len(batch) for batch in sidecar.streamed] == batches


async def test_no_writes_are_no_request() -> None:
    sidecar = ScriptedSidecar(MODELS)
    async with second_model(sidecar, {"shop": mapping(MigrationState.FILLING)}) as (second, _):
        assert await second.added([], OLD) == []
    assert sidecar.streamed == []


async def test_a_condition_and_a_routing_stay_with_the_write() -> None:
    action = replace(written("a", "fox"), routing="r", if_seq_no=7, if_primary_term=1)
    async with second_model(ScriptedSidecar(MODELS), {"shop": mapping(MigrationState.FILLING)}) as (second, _):
        (done,) = await second.added([action], OLD)
    assert replace(done, document=action.document) == action
