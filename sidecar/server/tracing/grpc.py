"""The span of a gRPC call, by the semantic conventions for gRPC servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

import grpc
from google.protobuf.message import Message
from grpc import aio

from sidecar.contract.transport import SERVICES
from sidecar.server.grpc.work import Context
from sidecar.server.tracing.spans import Carrier, Parts, server_span

__all__ = ["TracingInterceptor"]

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")

Unary = Callable[[object, Context], Awaitable[Message]]
Stream = Callable[[AsyncIterator[object], Context], Awaitable[None]]

PREFIXES = tuple(f"/{service}/" for service in SERVICES)

PARTS = {
    "/sidecar.v1.SparseEncoder/EncodeStream": Parts.STREAM,
    "/sidecar.v1.Reranker/RerankBatch": Parts.BATCH,
}

CODES: dict[int, str] = {code.value[0]: code.name for code in grpc.StatusCode}
"""By number: what a context has of its code is not the same in all versions of gRPC."""

OUR_FAULT = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
"""Codes that are a server's errors, by the semantic conventions; the others are its callers'."""


class TracingInterceptor(aio.ServerInterceptor):
    """Opens a span around each call of `sidecar.v1`. The first of the interceptors, so that it sees every refusal."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[_Request, _Response] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[_Request, _Response] | None:
        handler, method = await continuation(handler_call_details), handler_call_details.method
        if handler is None or not method.startswith(PREFIXES):
            return handler
        carrier = cast("Carrier", handler_call_details.invocation_metadata or ())
        read, write = handler.request_deserializer, handler.response_serializer
        if handler.unary_unary is not None:
            answer = cast("Unary", handler.unary_unary)

            async def unary(request: object, context: Context) -> Message:
                with _around(method, carrier, context):
                    return await answer(request, context)

            return grpc.unary_unary_rpc_method_handler(unary, read, write)
        if handler.stream_stream is not None:
            serve = cast("Stream", handler.stream_stream)

            async def stream(requests: AsyncIterator[object], context: Context) -> None:
                with _around(method, carrier, context):
                    await serve(requests, context)

            return grpc.stream_stream_rpc_method_handler(stream, read, write)
        raise AssertionError(f"{method} is neither unary nor a stream in both directions; this is a bug.")


@contextmanager
def _around(method: str, carrier: Carrier, context: Context) -> Iterator[None]:
    name = method[1:]
    known = {"rpc.system.name": "grpc", "rpc.method": name}
    with server_span(name, carrier, known, PARTS.get(method, Parts.ONE)) as call:
        unsaid = "UNKNOWN"
        try:
            yield
            unsaid = "OK"
        except asyncio.CancelledError:
            # Its caller has gone, or ran out of time; who counted the call knows which.
            unsaid = call.reason or "CANCELLED"
            raise
        finally:
            if call.span.is_recording():
                code = _code(context) or unsaid
                failed = None if code == "OK" else code
                call.end({"rpc.response.status_code": code}, failed=failed, our_fault=code in OUR_FAULT)


def _code(context: Context) -> str | None:
    """Return the name of the code that was set; None where the call ended without one, as one does that is OK."""
    code: int | grpc.StatusCode | None = context.code()
    return code.name if isinstance(code, grpc.StatusCode) else CODES.get(code) if code is not None else None
