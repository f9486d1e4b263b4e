"""Beginning again while something is away: how often, how long, and what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest

from sidecar.cluster.migrate import removing
from sidecar.cluster.reconcile import patience
from sidecar.cluster.reconcile.patience import LONG_ATTEMPT, LONG_ATTEMPTS, LONGEST_WAIT, PASSING, patiently, rest
from sidecar.errors import EngineRejected, EngineUnavailable, Overloaded, SidecarError


class Clock:
    """Time that only passes where somebody waits, or an attempt says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        monkeypatch.setattr(patience, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(patience, "rest", self.rest)

    async def rest(self, stopping: asyncio.Event, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class Attempts:
    """Raises these errors one after the other (None: succeeds), each attempt taking `seconds`."""

    def __init__(self, clock: Clock, errors: Sequence[Exception | None], seconds: float = 0.0, finds: int = 0) -> None:
        self.clock, self.errors, self.seconds, self.finds = clock, list(errors), seconds, finds
        self.begun = self.found = 0

    async def __call__(self) -> None:
        self.begun += 1
        self.clock.now += self.seconds
        self.found += self.finds
        error = self.errors.pop(0) if len(self.errors) > 1 else self.errors[0]
        if error is not None:
            raise error

    async def run(self, seconds: float, stopping: asyncio.Event | None = None) -> None:
        await patiently(self, patience=seconds, stopping=stopping or asyncio.Event(), found=lambda: self.found)


@pytest.mark.parametrize("kind", PASSING)
async def test_what_passes_is_waited_for(kind: type[SidecarError], clock: Clock) -> None:
    attempts = Attempts(clock, [kind("away"), kind("away"), None])
    await attempts.run(300.0)
    assert attempts.begun == 3
    assert len(clock.waits) == 2


async def test_what_does_not_pass_is_raised_at_once(clock: Clock) -> None:
    attempts = Attempts(clock, [EngineRejected("The cluster refuses the request (400).")])
    with pytest.raises(EngineRejected):
        await attempts.run(300.0)
    assert (attempts.begun, clock.waits) == (1, [])


async def test_patience_ends_when_nothing_was_found_for_so_long(clock: Clock) -> None:
    attempts = Attempts(clock, [EngineUnavailable("away")])
    with pytest.raises(EngineUnavailable):
        await attempts.run(60.0)
    assert 60.0 < clock.now <= 60.0 + LONGEST_WAIT
    assert max(clock.waits) <= LONGEST_WAIT


async def test_whoever_gets_on_is_waited_for_however_often_it_fails(clock: Clock) -> None:
    errors: list[Exception | None] = [EngineUnavailable("away")] * 400
    attempts = Attempts(clock, [*errors, None], seconds=1.0, finds=1)
    await attempts.run(10.0)
    assert attempts.begun == 401


async def test_patience_lasts_as_long_as_was_asked_for(clock: Clock) -> None:
    """A cluster that is mended overnight: nothing but the time ends the waiting."""
    attempts = Attempts(clock, [EngineUnavailable("away")])
    night = 12 * 3_600.0
    with pytest.raises(EngineUnavailable):
        await attempts.run(night)
    assert night < clock.now <= night + LONGEST_WAIT


async def test_attempts_that_use_no_patience_up_end_too(clock: Clock) -> None:
    attempts = Attempts(clock, [EngineUnavailable("away")], seconds=LONG_ATTEMPT + 1.0)
    with pytest.raises(EngineUnavailable):
        await attempts.run(60.0)
    assert attempts.begun == LONG_ATTEMPTS + 2, "the first tells what is found already"


async def test_an_attempt_that_was_long_under_way_was_not_in_vain(clock: Clock) -> None:
    """Comparing may take hours and find nothing: the cluster was there all the time."""
    errors: list[Exception | None] = [EngineUnavailable("away")] * 10
    attempts = Attempts(clock, [*errors, None], seconds=LONG_ATTEMPT + 1.0)
    await attempts.run(60.0)
    assert attempts.begun == 11


async def test_who_is_overloaded_says_how_long_to_wait(clock: Clock) -> None:
    attempts = Attempts(clock, [Overloaded("full", retry_after=40.0), None])
    await attempts.run(300.0)
    assert clock.waits == [40.0]


async def test_waits_grow_to_a_limit(clock: Clock) -> None:
    errors: list[Exception | None] = [EngineUnavailable("away")] * 12
    await Attempts(clock, [*errors, None]).run(1e9)
    bounds = [min(LONGEST_WAIT, 0.25 * 2.0**number) for number in range(1, 13)]
    assert all(bound / 2 <= wait <= bound for wait, bound in zip(clock.waits, bounds, strict=True))


async def test_a_run_that_is_stopped_begins_nothing(clock: Clock) -> None:
    stopping = asyncio.Event()
    stopping.set()
    attempts = Attempts(clock, [EngineUnavailable("away")])
    await attempts.run(300.0, stopping)
    assert attempts.begun == 0


async def test_a_rest_ends_when_it_is_stopped() -> None:
    stopping = asyncio.Event()
    resting = asyncio.create_task(rest(stopping, 3_600.0))
    await asyncio.sleep(0)
    stopping.set()
    await asyncio.wait_for(resting, 30.0)
    await rest(asyncio.Event(), 0.0)
    await rest(asyncio.Event(), 0.01)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Stop the clock of `migrate drop` at a moment."""

    def stop(moment: str) -> None:
        class Stopped(removing.datetime):
            @classmethod
            def now(cls, zone: object = None) -> removing.datetime:
                return removing.datetime.fromisoformat(moment)

        monkeypatch.setattr(removing, "datetime", Stopped)

    return stop


@pytest.mark.parametrize(
    ("switched", "seconds"),
    [
        (None, 0.0),
        ("2026-03-01T12:00:00+00:00", 60.0),
        ("2026-03-01T11:59:45+00:00", 45.0),
        ("2026-03-01T12:59:45+01:00", 45.0),
        ("2026-03-01T11:59:00+00:00", 0.0),
        ("2020-01-01T00:00:00+00:00", 0.0),
        ("2031-01-01T00:00:00+00:00", 60.0),
    ],
)
def test_a_drop_waits_for_searches_of_the_other_model_and_never_longer(
    switched: str | None, seconds: float, at: Callable[[str], None]
) -> None:
    at("2026-03-01T12:00:00+00:00")
    assert removing.seconds_to_rest(switched, 60.0) == seconds
