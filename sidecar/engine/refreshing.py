"""Making what several requests wrote searchable: by one refresh at their end, in place of a wait in each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_base

from sidecar.domain import JsonObject, as_object
from sidecar.engine.transport import path_of
from sidecar.errors import EngineError, EngineOverloaded, EngineRejected, EngineUnavailable, IndexNotFound

__all__ = ["Refresher"]


class Sends(Protocol):
    """The part of a transport that a refresh needs."""

    async def send(self, method: str, path: str, *, timeout: float | None = None) -> JsonObject: ...


class Refresher:
    """Refreshes indices, where this user may.

    A request with `refresh=wait_for` waits for the next refresh, up to a second with a cluster's defaults, and only for
    the shards that it wrote to: the last of several requests does not speak for those before it.
    """

    def __init__(self, transport: Sends, attempts: int, waits: wait_base, timeout: float) -> None:
        self._transport = transport
        self._attempts = attempts
        self._waits = waits
        self._timeout = timeout
        self._allowed: dict[str, bool] = {}

    async def allowed(self, names: Iterable[str]) -> bool:
        """Return whether this user may refresh all of these: a right of its own, which who may write need not have.

        It is tried before anything is written, once for each name. Who may not has to wait with each request.
        """
        for name in dict.fromkeys(names):
            if name not in self._allowed:
                try:
                    await self._once(name)
                except IndexNotFound:
                    return False
                except EngineRejected:
                    self._allowed[name] = False
                except EngineError:
                    return False
                else:
                    self._allowed[name] = True
            if not self._allowed[name]:
                return False
        return True

    async def refresh(self, names: Iterable[str]) -> None:
        """Make what was written to these searchable, in several attempts; raise the EngineError of the last one."""
        again = AsyncRetrying(
            retry=retry_if_exception_type((EngineUnavailable, EngineOverloaded)),
            stop=stop_after_attempt(self._attempts),
            wait=self._waits,
            reraise=True,
        )
        for name in dict.fromkeys(names):
            await again(self._once, name)

    async def _once(self, name: str) -> None:
        answer = await self._transport.send("POST", path_of(name, "_refresh"), timeout=self._timeout)
        if as_object(answer.get("_shards")).get("failed"):
            raise EngineUnavailable(f"The cluster did not refresh all shards of {name}.")
