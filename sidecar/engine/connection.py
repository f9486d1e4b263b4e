"""`Connection`: the way to a cluster that answered, for any request; what `Engine` stands on."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from sidecar.domain import JsonObject
from sidecar.engine.transport import Transport
from sidecar.engine.versions import ClusterInfo, parse_plugins
from sidecar.errors import EngineRejected, IndexNotFound

__all__ = ["NOT_FOUND", "Connection"]

NOT_FOUND = 404


class Connection:
    """The way to one cluster: `info` says who answered there. Closed by `close` or as an async context manager.

    Every method raises an EngineError, as those of `Engine` do.
    """

    def __init__(self, transport: Transport, info: ClusterInfo) -> None:
        self.info = info
        self._transport = transport

    @property
    def address(self) -> str:
        """Where the cluster is, without credentials."""
        return self._transport.shown

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; a second time does nothing."""
        await self._transport.close()

    async def cluster(self) -> ClusterInfo:
        """Return version and plugins; `plugins` None where this user may not list them."""
        if self.info.plugins is not None:
            return self.info
        try:
            answer = await self.read("GET", "/_nodes/plugins", {"filter_path": "nodes.*.plugins,nodes.*.modules"})
        except EngineRejected:
            return self.info
        self.info = self.info.with_plugins(parse_plugins(answer))
        return self.info

    async def send(
        self, method: str, path: str, body: JsonObject | None = None, *, timeout: float = 60.0
    ) -> JsonObject:
        """Send any request, once, and return its answer; `path` is as the cluster's documentation has it."""
        return await self._transport.send(method, path, body, timeout=timeout)

    async def read(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        *,
        timeout: float | None = None,
    ) -> JsonObject:
        """Send any request that changes nothing; again where the cluster was away for a moment."""
        return await self._transport.read(method, path, body, parameters=parameters, timeout=timeout)

    async def find(self, path: str, parameters: Mapping[str, str] | None = None) -> JsonObject | None:
        """Return what `GET path` answers; None where there is nothing of that name (404)."""
        try:
            return await self.read("GET", path, parameters)
        except IndexNotFound:
            return None
        except EngineRejected as error:
            if error.status == NOT_FOUND:
                return None
            raise
