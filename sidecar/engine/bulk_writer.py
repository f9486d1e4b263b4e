"""Bulk writing in which every action is answered exactly once, retries and lost answers included.

opensearch-py's own helper retries 429 alone, not at all by default, and its retry is switched off by the option that
raises on errors. Here each item is retried for itself; what can't be written comes back with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_result,
    wait_exponential,
    wait_random_exponential,
)
from tenacity.wait import wait_base

from sidecar.domain import JsonObject
from sidecar.engine.bulk import BulkAction, BulkItem, guards
from sidecar.engine.failures import RETRIABLE_STATUS, Cause
from sidecar.engine.refreshing import Refresher
from sidecar.errors import EngineError, EngineOverloaded, EngineRejected, EngineUnavailable, InvalidInput, wire_error

__all__ = ["NOT_SEARCHABLE", "BulkPolicy", "BulkWriter"]

NOT_SEARCHABLE = "Written, but may not be searchable yet: "

TOO_LARGE = 413
"""Status of a request that has more bytes than `http.max_content_length`."""


@dataclass(frozen=True, slots=True)
class BulkPolicy:
    """How much goes into one request, and how patiently it is repeated. Sizes in bytes, times in seconds.

    Waits double from `first_wait` to `longest_wait`; the last half of each is drawn at random, so that many who were
    refused together do not come back together. By default that is 7.75 to 15.5 seconds in all.

    Writes that an index holds up (`index.blocks.write`), as during a switch of its alias, are repeated for
    `held_up_seconds` at least, whatever `attempts` says: longer than `sidecar migrate swap` may hold them up. Between
    two attempts no more than `longest_held_up_wait` goes by.

    Above a mebibyte aiohttp writes a body in one piece that holds the event loop up, and warns of it.
    """

    attempts: int = 6
    first_wait: float = 0.5
    longest_wait: float = 30.0
    held_up_seconds: float = 45.0
    longest_held_up_wait: float = 2.0
    max_bytes: int = 1_000_000
    max_items: int = 500
    timeout: float = 60.0

    def waits(self) -> wait_base:
        """Return how long is waited between two attempts."""
        half = {"multiplier": self.first_wait / 2, "max": self.longest_wait / 2}
        return wait_exponential(**half) + wait_random_exponential(**half)


class Sends(Protocol):
    """The part of a transport that bulk needs."""

    async def send(
        self,
        method: str,
        path: str,
        body: JsonObject | bytes | None = None,
        *,
        parameters: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> JsonObject: ...


@dataclass(frozen=True, slots=True)
class _Prepared:
    position: int
    action: BulkAction
    lines: bytes


class BulkWriter:
    """Writes actions in chunks; `write` never raises for what a cluster does, it tells it per item.

    `guarded`: an index that is not there is not made by a write, which would be without its mapping; see `guards`.
    """

    def __init__(self, transport: Sends, policy: BulkPolicy, *, guarded: bool = False) -> None:
        self._transport = transport
        self._policy = policy
        self._guarded = guarded
        self.refresher = Refresher(transport, policy.attempts, policy.waits(), policy.timeout)

    async def write(self, actions: Sequence[BulkAction], *, refresh: bool = False) -> tuple[BulkItem, ...]:
        """Write every action and return one item for each, in order.

        `refresh` makes what was written searchable before the answer: one request waits for the next refresh; after
        several there is one of their own, where this user may refresh. What that fails for has status 0. An action
        that can't be written as JSON is answered with status 400 and goes nowhere.
        """
        items: dict[int, BulkItem] = {}
        prepared: list[_Prepared] = []
        for position, action in enumerate(actions):
            try:
                prepared.append(_Prepared(position, action, action.lines()))
            except InvalidInput as error:
                items[position] = BulkItem(action, 400, wire_error(error).reason, error.message, attempts=0)
        chunks = list(self._chunks(prepared))
        names = {item.action.index for item in prepared}
        together = refresh and len(chunks) > 1 and await self.refresher.allowed(names)
        for chunk in chunks:
            items.update(await self._write_chunk(chunk, refresh and not together))
        if together:
            items = await self._refreshed(items)
        return tuple(items[position] for position in range(len(actions)))

    async def _refreshed(self, items: dict[int, BulkItem]) -> dict[int, BulkItem]:
        """Refresh what was written to; where that fails, nobody knows whether the documents can be found."""
        written = {position: item for position, item in items.items() if item.written}
        try:
            await self.refresher.refresh({item.action.index for item in written.values()})
        except EngineError as error:
            unsure = {
                position: replace(item, status=0, error_type=type(error).__name__, reason=f"{NOT_SEARCHABLE}{error}")
                for position, item in written.items()
            }
            return items | unsure
        return items

    def _chunks(self, prepared: Sequence[_Prepared]) -> Iterator[list[_Prepared]]:
        chunk: list[_Prepared] = []
        size = 0
        seen: set[tuple[str, str]] = set()
        for item in prepared:
            key = (item.action.index, item.action.id)
            full = len(chunk) >= self._policy.max_items or size + len(item.lines) > self._policy.max_bytes
            # Two writes of one document never share a request: retried item by item, they could change places.
            if chunk and (full or key in seen):
                yield chunk
                chunk, size, seen = [], 0, set()
            chunk.append(item)
            size += len(item.lines)
            seen.add(key)
        if chunk:
            yield chunk

    async def _write_chunk(self, chunk: list[_Prepared], refresh: bool) -> dict[int, BulkItem]:
        answered: dict[int, BulkItem] = {}
        last: dict[int, BulkItem] = {}
        pending = chunk
        attempt = 0

        async def once() -> bool:
            nonlocal pending, attempt
            attempt += 1
            outcomes = await self._send(pending, refresh, attempt)
            still: list[_Prepared] = []
            for item, outcome in zip(pending, outcomes, strict=True):
                before = last.get(item.position, outcome)
                if outcome.status == 0 or outcome.blocked or outcome.status in RETRIABLE_STATUS:
                    # What was once not answered may have been done, whatever refused it later.
                    last[item.position] = replace(before if before.unreachable else outcome, attempts=attempt)
                    still.append(item)
                elif before.unreachable and (outcome.request_refused or outcome.status in {401, 403}):
                    # Nobody has looked at the document this time: what was sent before may have been written.
                    reason = f"{before.reason} Then: {outcome.reason}"
                    answered[item.position] = replace(before, reason=reason, attempts=attempt)
                elif before.unreachable and outcome.conflict:
                    reason = f"{outcome.reason} (An earlier attempt had no answer: what is there may be its.)"
                    answered[item.position] = replace(outcome, reason=reason)
                else:
                    answered[item.position] = outcome
            pending = still
            return bool(pending)

        def held_up() -> bool:
            return all(last[item.position].held_up for item in pending)

        policy, waits = self._policy, self._policy.waits()

        def wait(state: RetryCallState) -> float:
            return min(waits(state), policy.longest_held_up_wait) if held_up() else waits(state)

        def over(state: RetryCallState) -> bool:
            spent = state.seconds_since_start or 0.0
            return state.attempt_number >= policy.attempts and not (held_up() and spent < policy.held_up_seconds)

        await AsyncRetrying(retry=retry_if_result(bool), stop=over, wait=wait, retry_error_callback=_give_up)(once)
        return answered | {item.position: last[item.position] for item in pending}

    async def _send(self, chunk: Sequence[_Prepared], refresh: bool, attempt: int) -> list[BulkItem]:
        try:
            answer = await self._transport.send(
                "POST",
                "/_bulk",
                # Last: the answer tells of the documents in their order, and of the guards after them.
                b"".join(item.lines for item in chunk) + self._guards(chunk),
                parameters={"refresh": "wait_for"} if refresh else None,
                timeout=self._policy.timeout,
            )
        except EngineOverloaded as error:
            return _same(chunk, 429, error, attempt)
        except EngineUnavailable as error:
            return _same(chunk, 0, error, attempt)
        except EngineRejected as error:
            if error.status == TOO_LARGE:
                if len(chunk) == 1:
                    return [BulkItem(chunk[0].action, TOO_LARGE, "request_entity_too_large", error.message, attempt)]
                half = len(chunk) // 2
                first = await self._send(chunk[:half], refresh, attempt)
                return first + await self._send(chunk[half:], refresh, attempt)
            return _same(chunk, 400, error, attempt)
        except EngineError as error:
            return _same(chunk, 400, error, attempt)
        return list(_outcomes(chunk, answer, attempt))

    def _guards(self, chunk: Sequence[_Prepared]) -> bytes:
        return guards(item.action for item in chunk) if self._guarded else b""


def _give_up(state: RetryCallState) -> bool:
    """What is pending after the last attempt is reported with its last answer, not raised."""
    del state
    return True


def _same(chunk: Sequence[_Prepared], status: int, error: EngineError, attempt: int) -> list[BulkItem]:
    return [BulkItem(item.action, status, type(error).__name__, error.message, attempt) for item in chunk]


def _outcomes(chunk: Sequence[_Prepared], answer: JsonObject, attempt: int) -> Iterator[BulkItem]:
    listed = answer.get("items")
    entries = listed if isinstance(listed, list) else []
    for place, item in enumerate(chunk):
        entry = entries[place] if place < len(entries) else None
        told = entry.get(item.action.operation.value) if isinstance(entry, Mapping) else None
        status = told.get("status") if isinstance(told, Mapping) else None
        if not isinstance(told, Mapping) or not isinstance(status, int) or told.get("_id") != item.action.id:
            yield BulkItem(item.action, 0, "EngineUnavailable", "The answer does not tell of this document.", attempt)
            continue
        if status < 300:
            number = told.get("_seq_no")
            yield BulkItem(item.action, status, attempts=attempt, seq_no=number if isinstance(number, int) else None)
        else:
            cause = Cause.parse(status, told.get("error"))
            yield BulkItem(item.action, status, cause.type, cause.reason, attempt)
