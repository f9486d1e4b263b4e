"""What stands around every method of `sidecar.v1`: the token, the size limit, the count of calls, the error answer."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import NoReturn, Protocol, TypeVar, cast

import grpc
from google.protobuf.message import DecodeError, Message
from grpc import aio
from grpc_status import rpc_status

from sidecar.contract.failures import write_status
from sidecar.contract.transport import AUTHORIZATION, SERVICES, bearer
from sidecar.errors import MalformedText, SidecarError, TextTooLarge, Unauthenticated
from sidecar.server.grpc.work import Context
from sidecar.server.incidents import internal_error, note_refusal
from sidecar.server.metrics import observe
from sidecar.server.tracing.calls import log_ids, traceparent_of

__all__ = ["Authentication", "Guard", "InFlight"]

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")

PREFIXES = tuple(f"/{service}/" for service in SERVICES)

Unary = Callable[[object, Context], Awaitable[Message]]
Stream = Callable[[AsyncIterator[object], Context], Awaitable[None]]


class _CallDetails(Protocol):
    @property
    def method(self) -> str: ...
    @property
    def invocation_metadata(self) -> object: ...


class InFlight:
    """Counts the calls under way, so that a drain may end when the last of them does."""

    def __init__(self) -> None:
        self._count = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def __enter__(self) -> None:
        self._count += 1
        self._idle.clear()

    def __exit__(self, *_: object) -> None:
        self._count -= 1
        if self._count == 0:
            self._idle.set()

    @property
    def count(self) -> int:
        """Calls under way."""
        return self._count

    async def idle(self) -> None:
        """Return when no call is under way."""
        await self._idle.wait()


class Authentication(aio.ServerInterceptor):
    """Turns away calls of `sidecar.v1` without the token, before anything of them is read; health stays open."""

    def __init__(self, token: str) -> None:
        self._expected = bearer(token).encode()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[_Request, _Response] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[_Request, _Response] | None:
        handler, method = await continuation(handler_call_details), handler_call_details.method
        if handler is None or not method.startswith(PREFIXES) or self._knows(handler_call_details):
            return handler
        # As a stream whatever the method is: a stream's messages are read only when they are asked for.
        return grpc.stream_stream_rpc_method_handler(partial(_turn_away, method))

    def _knows(self, details: grpc.HandlerCallDetails) -> bool:
        given = [value for key, value in details.invocation_metadata if key == AUTHORIZATION]
        sent = given[0] if len(given) == 1 else b""
        return hmac.compare_digest(sent.encode() if isinstance(sent, str) else sent, self._expected)


class Guard(aio.ServerInterceptor):
    """Wraps the methods of `sidecar.v1`: unreadable requests and errors become a status with details.

    `max_request_bytes` is the size a message may have. gRPC's own limit is set above it: its refusal says
    RESOURCE_EXHAUSTED, which callers take for an overload.
    """

    def __init__(self, in_flight: InFlight, max_request_bytes: int) -> None:
        self._in_flight = in_flight
        self._limit = max_request_bytes

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[_Request, _Response] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[_Request, _Response] | None:
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not method.startswith(PREFIXES) or handler.request_deserializer is None:
            return handler
        read = self._reader(handler.request_deserializer)
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(
                self._unary(cast("Unary", handler.unary_unary), method), read, handler.response_serializer
            )
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(
                self._stream(cast("Stream", handler.stream_stream), method), read, handler.response_serializer
            )
        raise AssertionError(f"{method} is neither unary nor a stream in both directions; this is a bug.")

    def _reader(self, read: Callable[[bytes], _Request]) -> Callable[[bytes], _Request]:
        """Return a deserializer that gives the error in the request's place: gRPC would answer UNKNOWN itself."""

        def reader(data: bytes) -> _Request:
            error: SidecarError
            if len(data) > self._limit:
                error = TextTooLarge(
                    f"The message has {len(data)} bytes, at most {self._limit} are taken: send fewer texts per call."
                )
                return cast("_Request", error)
            try:
                return read(data)
            except DecodeError:
                error = MalformedText("The message can't be read: a string is not UTF-8, or it is no such message.")
                return cast("_Request", error)

        return reader

    def _unary(self, behavior: Unary, method: str) -> Unary:
        async def guarded(request: object, context: Context) -> Message:
            with self._in_flight:
                try:
                    if isinstance(request, SidecarError):
                        with observe(method):
                            raise request
                    return await behavior(request, context)
                except SidecarError as error:
                    note_refusal(error, method)
                    await _refuse(context, error, model=_model_named_in(request))
                except Exception as error:
                    ids = log_ids(traceparent_of(context.invocation_metadata()))
                    failed, request_id = internal_error(error, method, ids)
                    await _refuse(context, failed, request_id=request_id)

        return guarded

    def _stream(self, behavior: Stream, method: str) -> Stream:
        async def guarded(requests: AsyncIterator[object], context: Context) -> None:
            with self._in_flight:
                try:
                    await behavior(requests, context)
                except SidecarError as error:
                    await _refuse(context, error)
                except Exception as error:
                    if context.cancelled():
                        # The caller left while an answer was being written; there is nobody to tell.
                        return
                    ids = log_ids(traceparent_of(context.invocation_metadata()))
                    failed, request_id = internal_error(error, method, ids)
                    await _refuse(context, failed, request_id=request_id)

        return guarded


async def _turn_away(method: str, requests: AsyncIterator[object], context: Context) -> None:
    error = Unauthenticated("Send the sidecar's token as metadata `authorization: Bearer TOKEN`.")
    with observe(method) as call:
        call.failed(error)
    await _refuse(context, error)


async def _refuse(context: Context, error: SidecarError, *, model: str = "", request_id: str | None = None) -> NoReturn:
    await context.abort_with_status(rpc_status.to_status(write_status(error, request_id=request_id, model=model)))
    raise AssertionError("An aborted call goes no further; this is a bug.")


def _model_named_in(request: object) -> str:
    name = getattr(request, "model", None) or getattr(request, "name", None)
    return name if isinstance(name, str) else ""
