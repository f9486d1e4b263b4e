"""Requests that change a cluster, as values: planned, printed, and sent in order."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sidecar.domain import JsonObject, JsonValue
from sidecar.engine import Engine
from sidecar.errors import EngineRejected, EngineUnavailable

__all__ = ["Request", "Wait", "send_all"]

POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Wait:
    """A request is repeated until `key` of its answer is `value`; one of `failures` there ends it at once."""

    key: str
    value: str | int
    failures: tuple[str, ...] = ()
    seconds: float = 120.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `${name}` in its path, or as a whole string of its body, is what an earlier answer gave.

    `captures` maps such names to keys of this request's answer.
    """

    method: str
    path: str
    body: JsonObject | None = None
    captures: Mapping[str, str] = field(default_factory=dict)
    wait: Wait | None = None


async def send_all(engine: Engine, requests: Sequence[Request], *, timeout: float = 600.0) -> None:
    """Send requests in order; raise the EngineError of the first that fails, and leave the rest.

    `timeout`: seconds that one request may take; some change every document of an index.
    """
    known: dict[str, str] = {}
    for request in requests:
        path = request.path
        for name, value in known.items():
            path = path.replace(f"${{{name}}}", value)
        body = None if request.body is None else _filled(request.body, known)
        answer = await _sent(engine, request, path, body if isinstance(body, Mapping) else None, timeout)
        for name, key in request.captures.items():
            found = answer.get(key)
            if not isinstance(found, str):
                raise EngineRejected(f"The cluster's answer to {request.method} {request.path} has no {key}.")
            known[name] = found


async def _sent(engine: Engine, request: Request, path: str, body: JsonObject | None, timeout: float) -> JsonObject:
    answer = await engine.send(request.method, path, body, timeout=timeout)
    wait = request.wait
    if wait is None:
        return answer
    waited = 0.0
    while answer.get(wait.key) != wait.value:
        if answer.get(wait.key) in wait.failures:
            raise EngineRejected(f"{request.method} {path} says {answer.get(wait.key)}: see the cluster's log.")
        if waited >= wait.seconds:
            raise EngineUnavailable(f"{request.method} {path} did not come to {wait.value} in {wait.seconds:g} s.")
        await asyncio.sleep(POLL_SECONDS)
        waited += POLL_SECONDS
        answer = await engine.send(request.method, path, body, timeout=timeout)
    return answer


def _filled(value: JsonValue, known: Mapping[str, str]) -> JsonValue:
    match value:
        case str() if value.startswith("${") and value.endswith("}"):
            return known.get(value[2:-1], value)
        case Mapping():
            return {key: _filled(inner, known) for key, inner in value.items()}
        case list() | tuple():
            return [_filled(inner, known) for inner in value]
        case _:
            return value
