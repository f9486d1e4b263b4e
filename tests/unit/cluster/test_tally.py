"""Counting what became of documents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from sidecar.cluster import DeadLetters
from sidecar.cluster.reconcile import tally as tally_module
from sidecar.cluster.reconcile.finding import Finding, Reason
from sidecar.cluster.reconcile.summary import ReconcileOptions
from sidecar.cluster.reconcile.tally import PutOff, Tally
from sidecar.cluster.reconcile.writing import Fate, Ready, Settled
from sidecar.engine import StoredDocument
from sidecar.errors import EngineRejected, InvalidInput, TextTooLarge


def finding(number: int = 1, reason: Reason = Reason.MISSING) -> Finding:
    return Finding(StoredDocument("articles", f"d{number}", number, 1, {"text": "secret"}), "secret", "hash", reason)


def settled(fate: Fate, number: int = 1, reason: Reason = Reason.MISSING) -> Settled:
    return Settled(Ready(finding(number, reason), {}), fate, error_type="mapper_parsing_exception", reason="no number")


def test_the_sums_are_equal() -> None:
    told = []
    counting = Tally(DeadLetters(None), told.append)
    counting.scanned(9)
    for number, fate in enumerate([Fate.WRITTEN, Fate.UNNEEDED, Fate.GONE, Fate.REFUSED, Fate.UNREACHABLE]):
        counting.settle(settled(fate, number, list(Reason)[number % 3]))
    counting.settle(Settled(Ready(finding(8), {}, truncated=True, has_vector=False), Fate.WRITTEN))
    counting.fail(finding(9), TextTooLarge("too large"))
    now = counting.summary
    assert now.found == now.written + now.unneeded + now.gone + now.failed == 6
    assert (now.scanned, now.written, now.unneeded, now.gone, now.failed, now.left) == (9, 2, 1, 1, 2, 0)
    assert (now.truncated, now.without_vector) == (1, 1)
    assert told[-1].failed == 2


def test_what_is_put_off_is_left_until_it_is_taken() -> None:
    counting = Tally(DeadLetters(None))
    for fate in (Fate.PUT_OFF, Fate.TURNED_AWAY, Fate.PUT_OFF):
        counting.settle(settled(fate, 1 if fate is Fate.PUT_OFF else 2))
    assert (counting.summary.left, counting.summary.found) == (2, 0)
    taken = counting.take_put_off()
    assert [(one.document.id, one.document.source) for one in taken] == [("d1", {}), ("d2", {})]
    assert counting.summary.left == 0
    counting.settle_unwritten(taken[0], Fate.GONE)
    counting.settle_unwritten(taken[1], Fate.UNNEEDED)
    assert (counting.summary.gone, counting.summary.unneeded, counting.summary.found) == (1, 1, 2)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally_module, "REMEMBERED", 10)
    counting = Tally(DeadLetters(None))
    for number in range(25):
        counting.put_off(PutOff(StoredDocument("a", f"p{number}", number, 1), Reason.MISSING, None))
        counting.fail(finding(number), TextTooLarge("too large"))
    assert len(counting.take_put_off()) == 10
    assert counting.summary.left == 15, "what is not remembered is left for another run"
    assert not counting.was_refused(finding(3).document)
    assert counting.was_refused(finding(24).document)


def test_what_was_left_is_found_anew_by_whoever_begins_at_the_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally_module, "REMEMBERED", 10)
    counting = Tally(DeadLetters(None))
    for number in range(25):
        counting.put_off(PutOff(StoredDocument("a", f"p{number}", number, 1), Reason.MISSING, None))
    counting.begin()
    assert counting.summary.left == 25, "nobody has looked yet"
    counting.put_off(PutOff(StoredDocument("a", "p3", 3, 1), Reason.MISSING, None))
    assert counting.summary.left == 25
    counting.gone_through()
    assert counting.summary.left == 1
    assert [one.document.id for one in counting.take_put_off()] == ["p3"]
    assert counting.summary.left == 0


def test_a_refused_version_is_known_and_a_newer_one_is_not() -> None:
    counting = Tally(DeadLetters(None))
    counting.fail(finding(5), TextTooLarge("too large"))
    assert counting.was_refused(finding(5).document)
    assert not counting.was_refused(StoredDocument("articles", "d5", 6, 1))
    assert not counting.was_refused(StoredDocument("other", "d5", 5, 1))
    assert not counting.was_refused(StoredDocument("articles", "d5", 5, 1, routing="a"))


def test_two_documents_of_one_id_are_told_apart_by_their_routing() -> None:
    counting = Tally(DeadLetters(None))
    for routing in ("a", "b", "a"):
        counting.put_off(PutOff(StoredDocument("articles", "d1", 1, 1, routing=routing), Reason.MISSING, None))
    assert counting.summary.left == 2
    assert [one.document.routing for one in counting.take_put_off()] == ["a", "b"]


def test_a_cluster_that_refuses_everything_ends_the_run() -> None:
    counting = Tally(DeadLetters(None))
    for number in range(99):
        counting.settle(settled(Fate.REFUSED, number))
    with pytest.raises(EngineRejected, match="first 100 documents: mapper_parsing_exception: no number"):
        counting.settle(settled(Fate.REFUSED, 99))
    working = Tally(DeadLetters(None))
    working.settle(settled(Fate.WRITTEN))
    for number in range(1_000):
        working.settle(settled(Fate.REFUSED, number))
    assert working.summary.failed == 1_000


def test_what_is_said_of_a_cluster_that_refuses_everything_holds_no_value_of_a_document() -> None:
    reason = (
        "failed to parse field [price] of type [integer] in document with id 'kim's'. Preview of field's value: 'where"
        ' \'do I\' buy "plutonium"\': For input string: "where \'do I\' buy \\"plutonium\\""'
    )
    counting = Tally(DeadLetters(None))
    for number in range(99):
        counting.settle(replace(settled(Fate.REFUSED, number), reason=reason))
    with pytest.raises(EngineRejected) as caught:
        counting.settle(replace(settled(Fate.REFUSED, 99), reason=reason))
    assert "failed to parse field [price] of type [integer] in document with id …" in caught.value.message
    for word in ("kim", "do I", "plutonium"):
        assert word not in caught.value.message


def test_texts_that_can_not_be_encoded_are_no_refusals_of_the_cluster() -> None:
    counting = Tally(DeadLetters(None))
    for number in range(200):
        counting.fail(finding(number), TextTooLarge("too large"))
    for number in range(200, 299):
        counting.settle(settled(Fate.REFUSED, number))
    with pytest.raises(EngineRejected, match="first 100 documents"):
        counting.settle(settled(Fate.REFUSED, 299))


def test_letters_say_where_and_why_and_hold_no_text(tmp_path: Path) -> None:
    with DeadLetters(tmp_path / "dead.jsonl") as letters:
        Tally(letters).settle(settled(Fate.REFUSED, 4))
    assert orjson.loads((tmp_path / "dead.jsonl").read_bytes()) == {
        "line": None,
        "id": "d4",
        "stage": "write",
        "reason": "mapper_parsing_exception",
        "message": "no number",
        "index": "articles",
    }


@pytest.mark.parametrize(
    "options", [{"slices": 0}, {"slices": 5_000}, {"interval": 0.5}, {"interval": 1e9}, {"patience": -1.0}]
)
def test_options_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(InvalidInput):
        ReconcileOptions(**options)
