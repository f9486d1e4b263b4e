"""Writing vectors onto the version that was read: conflicts are read again, and every document has one fate."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from sidecar.cluster.documents import text_hash
from sidecar.cluster.encoding import Encoded
from sidecar.cluster.reconcile.finding import Finding, Reason
from sidecar.cluster.reconcile.own_writes import OwnWrites
from sidecar.cluster.reconcile.writing import CONFLICT_ATTEMPTS, Fate, Ready, Settled, VectorWriter, fate_of, prepare
from sidecar.domain import SparseVector
from sidecar.engine import BulkAction, BulkItem, BulkOperation, IndexMeta, StoredDocument, dialect_named
from sidecar.errors import EngineUnavailable, InvalidInput
from tests.unit.cluster.scripted import Outcome, ScriptedEngine

META = IndexMeta(fingerprint="aa" * 32, bundle="model", source_fields=("text",))
DIALECT = dialect_named("rank_features")
CONFLICT: Outcome = (409, "version_conflict_engine_exception")
DONE: Outcome = (200, "")


def held(name: str, text: str = "a fox", *, seq_no: int = 5, hashed: object = None) -> StoredDocument:
    source = {"text": text} if hashed is None else {"text": text, META.hash_field: hashed}
    return StoredDocument("shop", name, seq_no, 1, source, "r")


def ready(name: str, *, before: object = None) -> Ready:
    finding = Finding(held(name), "a fox", text_hash("a fox"), Reason.MISSING, before)
    return prepare(Encoded(finding, "a fox", vector=SparseVector((1,), (2.0,), ("fox",))), META, DIALECT)


async def settled(engine: ScriptedEngine, *wanted: Ready) -> dict[str, Settled]:
    writer = VectorWriter(engine.engine, META, DIALECT, OwnWrites())
    done = [one async for group in writer.write(wanted) for one in group]
    assert Counter(one.ready.finding.document.id for one in done) == Counter(one.finding.document.id for one in wanted)
    return {one.ready.finding.document.id: one for one in done}


def conflicts(times: int) -> ScriptedEngine:
    """An engine in which each document has another version so many times."""
    left = Counter[str]()

    def outcome(action: BulkAction) -> Outcome:
        left[action.id] += 1
        return CONFLICT if left[action.id] <= times else DONE

    return ScriptedEngine(outcome=outcome)


async def test_an_index_that_was_deleted_is_not_made_again() -> None:
    engine = ScriptedEngine()
    engine.deleted = {"shop"}
    kept = replace(ready("b"), finding=replace(ready("b").finding, document=replace(held("b"), index="other")))
    done = await settled(engine, ready("a"), kept)
    assert {name: one.fate for name, one in done.items()} == {"a": Fate.GONE, "b": Fate.WRITTEN}
    assert [[action.index for action in request] for request in engine.written] == [["other"]]
    assert (await settled(engine, ready("a")))["a"].fate is Fate.GONE
    assert len(engine.written) == 1


async def test_a_vector_is_put_onto_the_version_that_was_read() -> None:
    engine = ScriptedEngine()
    assert (await settled(engine, ready("a")))["a"].fate is Fate.WRITTEN
    ((action,),) = engine.written
    assert (action.operation, action.if_seq_no, action.if_primary_term, action.routing) == (
        BulkOperation.UPDATE,
        5,
        1,
        "r",
    )
    assert action.document is not None
    parameters = action.document["script"]["params"]
    assert parameters["replaced"] == ["splade"]
    assert parameters["fields"] == {
        "splade": {"fox": 2.0, "_splade_aaaaaaaaaaaaaaaa": 1.0},
        "splade_hash": text_hash("a fox"),
    }


async def test_a_document_whose_other_fields_changed_is_written_onto_its_new_version() -> None:
    engine = conflicts(1)
    engine.held = {("shop", "a"): held("a", seq_no=8)}
    assert (await settled(engine, ready("a")))["a"].fate is Fate.WRITTEN
    assert [actions[0].if_seq_no for actions in engine.written] == [5, 8]


@pytest.mark.parametrize(
    ("now", "fate"),
    [
        (None, Fate.GONE),
        (held("a", "a wolf", seq_no=8), Fate.PUT_OFF),
        (held("a", seq_no=8, hashed=text_hash("a fox")), Fate.UNNEEDED),
        (held("a", seq_no=8, hashed="of another text"), Fate.WRITTEN),
    ],
)
async def test_a_conflict_is_settled_by_what_is_there_now(now: StoredDocument | None, fate: Fate) -> None:
    engine = conflicts(1)
    engine.held = {} if now is None else {("shop", "a"): now}
    assert (await settled(engine, ready("a")))["a"].fate is fate
    assert len(engine.written) == (2 if fate is Fate.WRITTEN else 1)


async def test_a_hash_that_was_right_before_proves_no_vector() -> None:
    """OUTDATED: the hash was there and the vector was not; that it is still there says nothing."""
    engine = conflicts(1)
    engine.held = {("shop", "a"): held("a", seq_no=8, hashed=text_hash("a fox"))}
    assert (await settled(engine, ready("a", before=text_hash("a fox"))))["a"].fate is Fate.WRITTEN


async def test_a_document_that_changes_too_fast_is_put_off() -> None:
    engine = conflicts(99)
    engine.held = {("shop", name): held(name, seq_no=8) for name in "ab"}
    done = await settled(engine, ready("a"), ready("b"))
    assert {one.fate for one in done.values()} == {Fate.PUT_OFF}
    assert len(engine.written) == CONFLICT_ATTEMPTS


async def test_conflicts_that_can_not_be_read_are_left_for_the_next_look() -> None:
    engine = conflicts(99)
    engine.away = EngineUnavailable("away")
    assert (await settled(engine, ready("a")))["a"].fate is Fate.UNREACHABLE


async def test_each_of_many_has_its_own_fate() -> None:
    outcomes = {
        "a": DONE,
        "b": CONFLICT,
        "c": (404, "document_missing_exception"),
        "d": (429, ""),
        "e": (400, "mapper"),
    }
    engine = ScriptedEngine(outcome=lambda action: outcomes[action.id])
    done = await settled(engine, *(ready(name) for name in outcomes))
    assert {name: one.fate for name, one in done.items()} == {
        "a": Fate.WRITTEN,
        "b": Fate.GONE,
        "c": Fate.GONE,
        "d": Fate.TURNED_AWAY,
        "e": Fate.REFUSED,
    }
    assert (done["e"].error_type, done["e"].reason) == ("mapper", "because")


@pytest.mark.parametrize(
    ("status", "kind", "fate"),
    [
        (200, "", Fate.WRITTEN),
        (201, "", Fate.WRITTEN),
        (404, "document_missing_exception", Fate.GONE),
        (404, "index_not_found_exception", Fate.REFUSED),
        (429, "circuit_breaking_exception", Fate.TURNED_AWAY),
        (0, "EngineUnavailable", Fate.UNREACHABLE),
        (403, "cluster_block_exception", Fate.UNREACHABLE),
        (429, "cluster_block_exception", Fate.UNREACHABLE),
        (403, "security_exception", Fate.REFUSED),
        (502, "", Fate.UNREACHABLE),
        (503, "unavailable_shards_exception", Fate.UNREACHABLE),
        (504, "", Fate.UNREACHABLE),
        (400, "mapper_parsing_exception", Fate.REFUSED),
        (500, "", Fate.REFUSED),
    ],
)
def test_what_an_answer_means(status: int, kind: str, fate: Fate) -> None:
    assert fate_of(BulkItem(BulkAction("i", "a", {}), status, kind)) is fate


def test_a_document_without_text_gets_its_hash_alone() -> None:
    finding = Finding(held("a", ""), "", text_hash(""), Reason.MISSING)
    made = prepare(Encoded(finding, ""), META, DIALECT)
    assert (made.fields, made.has_vector) == ({"splade_hash": text_hash("")}, False)


def test_a_vector_that_the_dialect_can_not_hold_is_refused() -> None:
    finding = Finding(held("a"), "a fox", text_hash("a fox"), Reason.MISSING)
    with pytest.raises(InvalidInput):
        prepare(Encoded(finding, "a fox", vector=SparseVector((1,), (1e-40,), ("fox",))), META, DIALECT)
