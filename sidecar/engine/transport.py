"""The one way to a cluster: opensearch-py's async transport, typed, with exact JSON and errors of ours."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from urllib.parse import quote

from opensearchpy import AIOHttpConnection, AsyncHttpConnection, AsyncOpenSearch
from opensearchpy.exceptions import (
    AuthorizationException,
    ImproperlyConfigured,
    OpenSearchException,
    SerializationError,
)
from opensearchpy.serializer import JSONSerializer
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from sidecar.domain import JsonObject
from sidecar.engine.access import Access
from sidecar.engine.exact_json import exact_number, to_json
from sidecar.engine.failures import from_exception
from sidecar.engine.signing import Signer, may_be_outdated, with_query
from sidecar.errors import (
    EngineOverloaded,
    EngineRejected,
    EngineUnavailable,
    InvalidInput,
    UnsupportedEngine,
)
from sidecar.tracing import propagated

__all__ = ["Transport", "path_of"]

# The client logs each failure with its traceback; ours are raised, and nobody asked for them twice.
logging.getLogger("opensearch").addHandler(logging.NullHandler())

READ_ATTEMPTS = 3
"""How often a request that changes nothing is sent before its failure is told."""

SERVERLESS_ROOT: JsonObject = {"version": {"distribution": "opensearch", "number": "2"}}
"""What is taken for the answer of OpenSearch Serverless, which has no `GET /`: the oldest that AWS has called it."""


class _Exact(JSONSerializer):
    """Reads answers with every digit of their numbers: documents in them may be written again."""

    def loads(self, s: str) -> object:
        try:
            return json.loads(s, parse_float=exact_number)
        except (ValueError, TypeError) as error:
            raise SerializationError(s, error) from error


class Transport:
    """Sends one request and returns its JSON; every failure is an EngineError."""

    def __init__(self, access: Access) -> None:
        self.shown = access.shown
        self._timeout = access.timeout
        self.serverless = access.aws is not None and access.aws.serverless
        self._signer = None if access.aws is None else Signer(access.aws)
        self._client = _client(access, self._signer)

    async def send(
        self,
        method: str,
        path: str,
        body: JsonObject | bytes | None = None,
        *,
        parameters: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> JsonObject:
        """Send once. `body` is JSON, or newline-delimited JSON already in bytes; `timeout` in seconds."""
        lines = isinstance(body, bytes)
        headers = {"content-type": "application/x-ndjson" if lines else "application/json", **dict(propagated())}
        data = body if isinstance(body, bytes) or body is None else to_json(body)
        try:
            answer = await self._performed(
                method, path, parameters, data, headers, self._timeout if timeout is None else timeout
            )
        except (ImproperlyConfigured, OSError) as error:
            # Certificates are read with the first request.
            raise EngineRejected(f"The connection to {self.shown} can't be set up: {error}.") from error
        except OpenSearchException as error:
            raise from_exception(error, address=self.shown, sent=None if isinstance(body, bytes) else body) from error
        if not isinstance(answer, dict):
            raise EngineUnavailable(f"What answers at {self.shown} is no JSON: is it a cluster, or a proxy?")
        return answer

    async def _performed(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str] | None,
        data: bytes | None,
        headers: Mapping[str, str],
        timeout: float,
    ) -> object:
        """Send, signed if so wanted: once more where the keys were refused, and others are found in their place."""
        perform = self._client.transport.perform_request
        if self._signer is None:
            return await perform(
                method,
                path,
                params=dict(parameters) if parameters else None,
                body=data,
                timeout=timeout,
                headers=headers,
            )
        target = with_query(path, parameters)
        keys = await self._signer.ready()
        try:
            return await perform(method, target, body=data, timeout=timeout, headers=headers)
        except AuthorizationException as error:
            if not may_be_outdated(error) or not await self._signer.renewed(keys):
                raise
        return await perform(method, target, body=data, timeout=timeout, headers=headers)

    async def read(
        self,
        method: str,
        path: str,
        body: JsonObject | bytes | None = None,
        *,
        parameters: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> JsonObject:
        """Send a request that changes nothing, again where the cluster was away or overloaded; within `timeout`."""
        limit = timeout if timeout is not None else self._timeout
        attempts = AsyncRetrying(
            retry=retry_if_exception_type((EngineUnavailable, EngineOverloaded)),
            stop=stop_after_attempt(READ_ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.05, max=min(1.0, limit / 4)),
            reraise=True,
        )
        try:
            async with asyncio.timeout(limit):
                # The client's own limit lies behind: of two that fire at once, it swallows the other's cancellation.
                return await attempts(self.send, method, path, body, parameters=parameters, timeout=limit + 5.0)
        except TimeoutError:
            raise EngineUnavailable(f"The cluster at {self.shown} did not answer within {limit:g} s.") from None

    async def root(self) -> JsonObject:
        """Return what a cluster says of itself; raise UnsupportedEngine where nothing is said, as by a sidecar."""
        try:
            return await self.read("GET", "/")
        except EngineRejected as error:
            if self.serverless and error.status == 404:
                return SERVERLESS_ROOT
            if error.status in (404, 405):
                raise UnsupportedEngine(
                    f"What answers at {self.shown} does not look like OpenSearch or Elasticsearch: it refuses GET /."
                    " Is that the cluster's address, and not the sidecar's?"
                ) from error
            raise

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def path_of(*segments: str) -> str:
    """Join path segments, each escaped: an index called `a/b` stays one segment.

    Raises InvalidInput for an empty one: without it, a path is about all indices.
    """
    if not all(segments):
        raise InvalidInput("The index is empty: name an index or an alias.", field="index")
    return "/" + "/".join(quote(segment, safe=",*_-+.") for segment in segments)


def _client(access: Access, signer: Signer | None) -> AsyncOpenSearch:
    # Only the one kind of connection calls what signs.
    connection = AIOHttpConnection if signer is None else AsyncHttpConnection
    account = signer or ((access.user, access.password or "") if access.user else None)
    headers = _authorization(access.api_key)
    client = partial(
        AsyncOpenSearch,
        hosts=access.urls,
        serializer=_Exact(),
        connection_class=connection,
        http_auth=account,
        headers=headers,
        timeout=access.timeout,
        max_retries=0,
        retry_on_timeout=False,
        maxsize=access.connections,
    )
    if not any(url.startswith("https:") for url in access.urls):
        return client()
    return client(
        verify_certs=access.verify_certificates,
        ssl_show_warn=False,
        ca_certs=_text(access.ca_certificates),
        client_cert=_text(access.client_certificate),
        client_key=_text(access.client_key),
    )


def _authorization(api_key: str | None) -> dict[str, str] | None:
    if api_key is None:
        return None
    encoded = base64.b64encode(api_key.encode()).decode() if ":" in api_key else api_key
    return {"authorization": f"ApiKey {encoded}"}


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
