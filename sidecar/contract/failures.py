"""Errors: `sidecar.errors` as google.rpc.Status with details (google/rpc/error_details.proto), and back.

ErrorInfo is always there: domain `sidecar.v1`, the reason of `errors.WIRE`, and the field to blame as metadata.
"""

from __future__ import annotations

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2

from sidecar.errors import ERROR_DOMAIN, WIRE, InvalidInput, SidecarError, StatusCode, UnknownModel, wire_error
from sidecar.v1 import sidecar_pb2 as pb

__all__ = ["ERROR_OF_REASON", "read_error", "read_status", "within", "write_error", "write_status"]

DEFAULT_RETRY_SECONDS = 1.0
"""RetryInfo where the error itself does not say how long to wait."""

RETRYABLE = (StatusCode.RESOURCE_EXHAUSTED, StatusCode.UNAVAILABLE)

ERROR_OF_REASON: dict[str, type[SidecarError]] = {wire.reason: cls for cls, wire in WIRE.items()}
"""The inverse of `WIRE`; a test fails if two classes share a reason."""


def write_status(error: SidecarError, *, request_id: str | None = None, model: str = "") -> status_pb2.Status:
    """Describe `error` for a gRPC client.

    `request_id` is what the log line of an internal error carries; `model` the name an UnknownModel is about.
    """
    wire = wire_error(error)
    retry_after = _retry_after(error)
    parts: list[Message] = [
        details.ErrorInfo(
            reason=wire.reason, domain=ERROR_DOMAIN, metadata={"field": error.field} if error.field else {}
        )
    ]
    if isinstance(error, InvalidInput):
        violation = details.BadRequest.FieldViolation(
            field=error.field or "", description=error.message, reason=wire.reason
        )
        parts.append(details.BadRequest(field_violations=[violation]))
    if retry_after is not None:
        retry = details.RetryInfo()
        retry.retry_delay.FromNanoseconds(round(retry_after * 1e9))
        parts.append(retry)
    if isinstance(error, UnknownModel):
        parts.append(details.ResourceInfo(resource_type="sidecar.v1.Model", resource_name=model))
    if request_id is not None:
        parts.append(details.RequestInfo(request_id=request_id))
    return status_pb2.Status(code=int(wire.code), message=error.message, details=[_packed(part) for part in parts])


def read_status(status: status_pb2.Status) -> SidecarError | None:
    """Rebuild the error a sidecar described; None if this status is not from a sidecar.

    A reason that this version does not know becomes a plain SidecarError.
    """
    info = details.ErrorInfo()
    retry = details.RetryInfo()
    found = False
    retry_after: float | None = None
    for part in status.details:
        if part.Is(details.ErrorInfo.DESCRIPTOR):
            part.Unpack(info)
            found = info.domain == ERROR_DOMAIN
        elif part.Is(details.RetryInfo.DESCRIPTOR):
            part.Unpack(retry)
            retry_after = retry.retry_delay.ToNanoseconds() / 1e9
    if not found:
        return None
    cls = ERROR_OF_REASON.get(info.reason, SidecarError)
    return cls(status.message, field=info.metadata.get("field"), retry_after=retry_after)


def write_error(error: SidecarError) -> pb.Error:
    """Describe `error` inside a stream, where one failed item leaves the stream open."""
    wire = wire_error(error)
    return pb.Error(
        code=int(wire.code),
        reason=wire.reason,
        message=error.message,
        field=error.field or "",
        retry_after_ms=round((_retry_after(error) or 0.0) * 1e3),
    )


def read_error(message: pb.Error) -> SidecarError:
    """Rebuild the error of one item of a stream."""
    cls = ERROR_OF_REASON.get(message.reason, SidecarError)
    retry_after = message.retry_after_ms / 1e3 if message.retry_after_ms else None
    return cls(message.message, field=message.field or None, retry_after=retry_after)


def within(error: SidecarError, part: str) -> SidecarError:
    """Return the same error with its field named from the whole request's point of view, in its message too."""
    own = error.field or ""
    field = f"{part}.{own}" if own else part
    message = field + error.message.removeprefix(own) if own and error.message.startswith(own) else error.message
    return type(error)(message, field=field, retry_after=error.retry_after)


def _retry_after(error: SidecarError) -> float | None:
    if error.retry_after is not None:
        return error.retry_after
    return DEFAULT_RETRY_SECONDS if wire_error(error).code in RETRYABLE else None


def _packed(message: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
