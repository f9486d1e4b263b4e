"""What an index's copy lacks, and how it is written: only where it is as it was read, and only while it is a copy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.cluster.documents import source_text, text_hash
from sidecar.cluster.mirror.comparing import ABSENT, compare, fields_of, orphans
from sidecar.cluster.mirror.pair import Side
from sidecar.cluster.mirror.writing import CopyWriter
from sidecar.cluster.reconcile.finding import Finding, Reason
from sidecar.cluster.reconcile.writing import Fate, Ready
from sidecar.domain import JsonObject
from sidecar.engine import BulkOperation, IndexMeta, StoredDocument
from sidecar.errors import EngineUnavailable
from tests.unit.cluster.scripted import ScriptedEngine

OLD = IndexMeta(fingerprint="aa" * 32, bundle="old", source_fields=("text",))
NEW = IndexMeta(fingerprint="bb" * 32, bundle="new", source_fields=("text",))
SOURCE = Side("shop-1", {}, OLD, {"shop": {}})
COPY = Side("shop-2", {}, NEW, {})


def document(index: str, source: JsonObject, name: str = "d", seq_no: int = 5, routing: str | None = None):
    return StoredDocument(index, name, seq_no, 1, source, routing)


def encoded(meta: IndexMeta, fields: JsonObject) -> JsonObject:
    """The fields as a run leaves them: with the vector and the hash of their text."""
    text = source_text("d", fields, meta)
    return {**fields, meta.hash_field: text_hash(text), **({meta.vector_field: {"t": 1.0}} if text else {})}


async def compared(held: JsonObject | None, wanted: JsonObject | None) -> Finding | None:
    both = [document("shop-1", wanted)] if wanted is not None else []
    both += [document("shop-2", held, seq_no=9)] if held is not None else []
    found = await compare(ScriptedEngine(both).engine, SOURCE, COPY, [document("shop-1", {})])
    assert len(found) <= 1
    return found[0] if found else None


FOX = {"text": "a fox", "price": 3}


@pytest.mark.parametrize("fields", [FOX, {"text": ""}, {"price": 3}, {"text": "a fox", "note": None}])
async def test_a_copy_that_is_right_is_left_alone(fields: JsonObject) -> None:
    assert await compared(encoded(NEW, fields), encoded(OLD, fields)) is None


async def test_what_the_copy_does_not_have_is_copied_without_the_old_vector() -> None:
    found = await compared(None, FOX)
    assert found is not None
    assert found.document == StoredDocument("shop-2", "d", ABSENT, 0, FOX)
    assert (found.reason, found.text, found.vector) == (Reason.MISSING, "a fox", None)
    assert found.hash == text_hash("a fox")


async def test_what_is_gone_from_the_source_is_not_written_again() -> None:
    assert await compared(encoded(NEW, FOX), None) is None


async def test_another_text_is_encoded_anew_onto_the_version_that_the_copy_has() -> None:
    found = await compared(encoded(NEW, FOX), {**FOX, "text": "a wolf"})
    assert found is not None
    assert (found.reason, found.text, found.vector) == (Reason.CHANGED, "a wolf", None)
    assert (found.document.index, found.document.seq_no) == ("shop-2", 9)
    assert found.hash_before == text_hash("a fox")


async def test_another_field_is_copied_with_the_vector_that_is_right_already() -> None:
    found = await compared(encoded(NEW, FOX), {**FOX, "price": 4})
    assert found is not None
    assert found.reason is Reason.CHANGED
    assert found.vector == {"splade": {"t": 1.0}}
    assert found.document.source == {"text": "a fox", "price": 4}


async def test_a_field_that_was_taken_out_leaves_the_copy_too() -> None:
    found = await compared(encoded(NEW, FOX), {"text": "a fox"})
    assert found is not None
    assert found.document.source == {"text": "a fox"}


@pytest.mark.parametrize("lost", [{"splade": None}, {"splade_hash": "00"}, {"splade_hash": None}])
async def test_a_vector_that_was_lost_is_made_again(lost: JsonObject) -> None:
    found = await compared({**encoded(NEW, FOX), **lost}, FOX)
    assert found is not None
    assert (found.reason, found.vector) == (Reason.OUTDATED, None)


values = st.none() | st.integers(-3, 3) | st.text(max_size=4)
documents = st.dictionaries(st.sampled_from(["text", "price", "note"]), values, max_size=3)


@given(documents, documents)
async def test_after_it_is_written_nothing_is_left_to_do(wanted: JsonObject, held: JsonObject) -> None:
    """Whatever the copy held: what a finding writes is what a second look accepts."""
    found = await compared(encoded(NEW, held), encoded(OLD, wanted))
    if found is None:
        assert {**held} == {**wanted}
        return
    fields: JsonObject = found.vector if found.vector is not None else {"splade": {"t": 1.0}} if found.text else {}
    written = {**found.document.source, **fields, "splade_hash": found.hash}
    assert await compared(written, encoded(OLD, wanted)) is None
    assert {name: value for name, value in written.items() if name not in fields_of(OLD, NEW)} == wanted


async def test_the_copy_is_read_before_its_source() -> None:
    """The other way round, a text that was written in between would be replaced by an older one."""
    engine = ScriptedEngine([document("shop-1", FOX)])
    await compare(engine.engine, SOURCE, COPY, [document("shop-1", {})])
    assert engine.reads == ["shop-2", "shop-1"]


async def test_routing_comes_along() -> None:
    engine = ScriptedEngine([document("shop-1", FOX, routing="r7")])
    (found,) = await compare(engine.engine, SOURCE, COPY, [document("shop-1", {}, routing="r7")])
    assert found.document.routing == "r7"


async def test_only_the_copy_has_orphans() -> None:
    engine = ScriptedEngine([document("shop-1", {}, "kept")])
    page = [document("shop-2", {}, "kept"), document("shop-2", {}, "gone")]
    assert [one.id for one in await orphans(engine.engine, SOURCE, page)] == ["gone"]
    assert await orphans(engine.engine, SOURCE, []) == []


def test_our_fields_are_those_of_both_models() -> None:
    other = NEW.model_copy(update={"vector_field": "v", "hash_field": "h", "dialect": "seismic"})
    assert fields_of(OLD, other) == {"splade", "splade_hash", "v", "v_model", "h"}


def ready(name: str, seq_no: int = 5) -> Ready:
    held = StoredDocument("shop-2", name, seq_no, 1 if seq_no != ABSENT else 0, {"text": name}, "r")
    return Ready(Finding(held, name, "h", Reason.MISSING), {"splade_hash": "h"})


async def fates(engine: ScriptedEngine, *wanted: Ready) -> list[Fate]:
    groups = [group async for group in CopyWriter(engine.engine, "shop", "shop-1").write(wanted)]
    return [one.fate for group in groups for one in group]


async def test_a_document_is_made_where_there_was_none_and_replaced_where_it_is_as_it_was_read() -> None:
    engine = ScriptedEngine(behind={"shop-1": {}})
    assert await fates(engine, ready("new", ABSENT), ready("old")) == [Fate.WRITTEN, Fate.WRITTEN]
    ((made, replaced),) = engine.written
    assert (made.operation, made.if_seq_no, made.if_primary_term) == (BulkOperation.CREATE, None, None)
    assert (replaced.operation, replaced.if_seq_no, replaced.if_primary_term) == (BulkOperation.INDEX, 5, 1)
    assert made.document == {"text": "new", "splade_hash": "h"}
    assert made.routing == replaced.routing == "r"


async def test_what_somebody_else_wrote_meanwhile_is_compared_again() -> None:
    statuses = {"a": (409, "version_conflict_engine_exception"), "b": (429, ""), "c": (400, "mapper"), "d": (200, "")}
    engine = ScriptedEngine(outcome=lambda action: statuses[action.id], behind={"shop-1": {}})
    assert await fates(engine, *(ready(name) for name in statuses)) == [
        Fate.PUT_OFF,
        Fate.TURNED_AWAY,
        Fate.REFUSED,
        Fate.WRITTEN,
    ]


@pytest.mark.parametrize("behind", [{"shop-2": {}}, {"shop-1": {}, "shop-2": {}}, {}, None])
async def test_an_index_that_has_become_the_application_s_own_is_not_written_to(behind: JsonObject | None) -> None:
    engine = ScriptedEngine(behind=behind)
    writer = CopyWriter(engine.engine, "shop", "shop-1")
    with pytest.raises(EngineUnavailable, match="shop stands for"):
        [group async for group in writer.write([ready("a")])]
    with pytest.raises(EngineUnavailable, match="shop stands for"):
        await writer.delete([document("shop-2", {})])
    assert engine.written == []


async def test_a_copy_that_was_deleted_is_not_made_again() -> None:
    engine = ScriptedEngine(behind={"shop-1": {}})
    engine.deleted = {"shop-2"}
    writer = CopyWriter(engine.engine, "shop", "shop-1")
    with pytest.raises(EngineUnavailable, match="shop-2 is deleted by now"):
        [group async for group in writer.write([ready("a"), ready("new", ABSENT)])]
    with pytest.raises(EngineUnavailable, match="shop-2 is deleted by now"):
        await writer.delete([document("shop-2", {})])
    assert engine.written == []


async def test_deleting_leaves_what_was_written_meanwhile() -> None:
    statuses = {"a": (200, ""), "b": (409, "version_conflict_engine_exception"), "c": (404, "")}
    engine = ScriptedEngine(outcome=lambda action: statuses[action.id], behind={"shop-1": {}})
    gone = [document("shop-2", {}, name, seq_no=4) for name in statuses]
    assert await CopyWriter(engine.engine, "shop", "shop-1").delete(gone) == 2
    assert all((one.operation, one.if_seq_no) == (BulkOperation.DELETE, 4) for one in engine.written[0])


@pytest.mark.parametrize("status", [0, 403, 429, 503])
async def test_what_can_not_be_deleted_is_an_error(status: int) -> None:
    engine = ScriptedEngine(outcome=lambda _: (status, "some_exception"), behind={"shop-1": {}})
    with pytest.raises(EngineUnavailable, match="some_exception: because"):
        await CopyWriter(engine.engine, "shop", "shop-1").delete([document("shop-2", {})])
