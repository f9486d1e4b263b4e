"""The frame of all runs: how often they look, what they try again, when they begin anew, and what they report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters
from sidecar.cluster.reconcile import ReconcileOptions, ReconcileSummary, frame, tally
from sidecar.cluster.reconcile.finding import Finding, Reason
from sidecar.cluster.reconcile.frame import VectorRun
from sidecar.cluster.reconcile.tally import PutOff
from sidecar.engine import Checkpoints, Engine, StoredDocument
from sidecar.errors import DocumentsNotWritten, EngineUnavailable, FingerprintMismatch, IndexNotFound, InvalidInput

DOCUMENT = StoredDocument("i", "d1", 1, 1)
PUT_OFF = PutOff(DOCUMENT, Reason.MISSING, None)


class Scripted(VectorRun):
    """Puts one document off, and settles it when it is tried for the last time of `again`: an error, or None."""

    def __init__(self, again: Sequence[Exception | None] = (), options: ReconcileOptions | None = None) -> None:
        self.seen: list[tuple[ReconcileSummary, str, int]] = []
        nothing = object()
        super().__init__(
            cast("Engine", nothing),
            cast("AsyncSidecarClient", nothing),
            "i",
            DeadLetters(None),
            options or ReconcileOptions(),
            progress=lambda *told: self.seen.append(told),
        )
        self.done: list[str] = []
        self.remembers = True
        self._answers = list(again)
        self._later = bool(again)

    async def _through(self) -> None:
        self.done.append("through" if "i" in self._compared else "everything")
        self._compared["i"] = Checkpoints({})
        if self._later:
            self._tally.put_off(PUT_OFF)

    async def _again(self) -> None:
        self.done.append("again")
        if not self.remembers:
            assert not self._tally.take_put_off()
            return
        (taken,) = self._tally.take_put_off()
        answer = self._answers.pop(0)
        self._later = bool(self._answers)
        if isinstance(answer, Exception):
            raise answer
        if self._later:
            self._tally.put_off(taken)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Nothing waits; what would have been waited."""
    waited: list[float] = []

    async def rest(_stopping: object, seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(frame, "rest", rest)
    return waited


async def test_a_run_that_leaves_nothing_looks_once() -> None:
    run = Scripted()
    assert (await run.run()).left == 0
    assert run.done == ["everything"]


async def test_what_is_put_off_is_tried_again_after_ever_longer_rests(at_once: list[float]) -> None:
    run = Scripted([None, None, None])
    await run.run()
    assert run.done == ["everything", "again", "again", "again"]
    assert at_once == [0.2, 0.4, 0.8]


async def test_what_changes_too_fast_is_left_for_another_run_and_compared_there() -> None:
    run = Scripted([None] * 6)
    with pytest.raises(DocumentsNotWritten, match="1 changed too fast"):
        await run.run()
    assert run.done == ["everything", *["again"] * 5]
    await run.look()
    assert run.done[6] == "everything"


async def test_more_than_can_be_remembered_is_left_for_one_look_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tally, "REMEMBERED", 0)
    run = Scripted([None] * 5, ReconcileOptions(follow=True))
    run.remembers = False
    await run.look()
    assert (run.summary.left, run.done) == (1, ["everything", *["again"] * 5])
    run._later = False
    await run.look()
    await run.look()
    assert run.summary.left == 0
    assert run.done[6:] == ["everything", "through"], "only what was written since is compared again"


async def test_what_was_left_is_told_where_the_next_look_is_cut_short() -> None:
    run = Scripted([None] * 6, ReconcileOptions(follow=True))
    await run.look()
    assert run.summary.left == 1
    run._later = False
    run.stop()
    await run.look()
    with pytest.raises(DocumentsNotWritten, match="1 changed too fast"):
        run.require_done()


async def test_after_a_passing_failure_everything_is_compared_anew() -> None:
    run = Scripted([EngineUnavailable("away"), None])
    await run.run()
    assert run.done == ["everything", "again", "everything", "again"]


async def test_so_it_is_where_one_of_several_indices_was_deleted() -> None:
    run = Scripted([IndexNotFound("gone"), None])
    await run.run()
    assert run.done == ["everything", "again", "everything", "again"]


@pytest.mark.parametrize("gone", [1, 2])
async def test_an_attempt_begins_again_once_where_an_index_is_gone(gone: int) -> None:
    run, begun = Scripted(), 0

    async def attempt() -> None:
        nonlocal begun
        begun += 1
        if begun <= gone:
            raise IndexNotFound("The index does not exist.")

    if gone > 1:
        with pytest.raises(IndexNotFound):
            await run._patiently(attempt)
    else:
        await run._patiently(attempt)
    assert begun == 2


async def test_another_failure_ends_the_run() -> None:
    run = Scripted([FingerprintMismatch("another model")])
    with pytest.raises(FingerprintMismatch):
        await run.run()


async def test_a_run_that_follows_looks_until_it_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Scripted(options=ReconcileOptions(follow=True, interval=7.0))
    rests: list[float] = []

    async def rest(_stopping: object, seconds: float) -> None:
        rests.append(seconds)
        if len(rests) == 3:
            run.stop()

    monkeypatch.setattr(frame, "rest", rest)
    await run.run()
    assert rests == [7.0, 7.0, 7.0]
    assert run.done == ["everything", "through", "through"]


async def test_a_run_that_was_stopped_says_so() -> None:
    run = Scripted([None, None])
    run.stop()
    with pytest.raises(DocumentsNotWritten, match=r"1 changed too fast.*stopped before its end"):
        await run.run()
    assert run.done == ["everything"]
    early = Scripted()
    early.stop()
    with pytest.raises(DocumentsNotWritten, match=r"^The run was stopped before its end"):
        await early.run()


def test_what_failed_names_the_dead_letters(tmp_path: Path) -> None:
    with DeadLetters(tmp_path / "Articles of May.jsonl") as letters:
        run = Scripted()
        run.dead_letters = letters
        run._tally.fail(Finding(DOCUMENT, "text", "hash", Reason.MISSING), InvalidInput("No.", field="text"))
        with pytest.raises(DocumentsNotWritten, match=r"^1 documents could not be .*") as caught:
            run.require_done()
    assert str(letters.path) in caught.value.message


def test_deleted_copies_are_told_and_counted() -> None:
    run = Scripted()
    run._doing = ("looking for deleted documents", 9)
    run._tally.deleted(2)
    (summary, doing, total) = run.seen[-1]
    assert (doing, total) == ("looking for deleted documents", 9)
    assert (summary.changed, summary.gone, summary.found) == (2, 2, 2)
    assert run.summary.gone == 2
