"""From a failed call back to the error that the sidecar raised."""

from __future__ import annotations

from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from grpc import StatusCode
from grpc.aio import AioRpcError

from sidecar.contract.failures import read_status
from sidecar.errors import (
    DeadlineExceeded,
    Overloaded,
    SidecarError,
    SidecarUnavailable,
    TextTooLarge,
    Unauthenticated,
    UnknownModel,
)

__all__ = ["translate"]

DETAILS_KEY = "grpc-status-details-bin"

TOO_LARGE = "larger than max"
"""How gRPC itself words that a message passes a limit; it has no code of its own for that."""

BROKEN = ("Internal error from Core", "RST_STREAM", "Stream removed", "Socket closed")
"""How gRPC words that a connection broke under a call, with the codes INTERNAL or UNKNOWN."""

UNSECURED = ("last error: UNAVAILABLE", "handshake", "Hostname Verification")
"""How gRPC words that there was somebody, and no connection came of it: a server that wants TLS hangs up on who speaks
plaintext, or shows no certificate."""


def translate(failure: AioRpcError, target: str) -> SidecarError:
    """Rebuild the sidecar's error from the status details; without details, judge by the code alone."""
    described = _described(failure)
    if described is not None:
        return described
    why = failure.details() or "no reason given"
    match failure.code():
        case StatusCode.UNAVAILABLE if any(part in why for part in UNSECURED):
            return SidecarUnavailable(
                f"No connection to {target}: {why}. Do both ends speak TLS, or none? Is the authority that of its"
                " certificate, the address one of the names in it? Does it ask for a client certificate?"
            )
        case StatusCode.UNAVAILABLE:
            return SidecarUnavailable(f"No sidecar answers at {target}: {why}")
        case StatusCode.INTERNAL | StatusCode.UNKNOWN if any(part in why for part in BROKEN):
            return SidecarUnavailable(f"The connection to {target} broke: {why}")
        case StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceeded(f"{target} did not answer in time.")
        case StatusCode.CANCELLED:
            # Who cancels a call himself sees asyncio's CancelledError; this one was cut off by the other side.
            return SidecarUnavailable(f"{target} cut the call off: it is shutting down. Send it again.")
        case StatusCode.RESOURCE_EXHAUSTED if TOO_LARGE in why:
            return TextTooLarge(f"The message is too large for one call: {why}. Send fewer texts per call.")
        case StatusCode.RESOURCE_EXHAUSTED:
            return Overloaded(f"{target} takes no more work: {why}")
        case StatusCode.UNAUTHENTICATED:
            return Unauthenticated(f"{target} wants a valid token: {why}")
        case StatusCode.NOT_FOUND:
            return UnknownModel(f"{target} has no service or model of that name.")
        case StatusCode.UNIMPLEMENTED:
            return SidecarError(f"What answers at {target} does not offer this call: is it a sidecar? ({why})")
        case code:
            return SidecarError(f"{target} failed with {code.name}: {why}")


def _described(failure: AioRpcError) -> SidecarError | None:
    for key, value in failure.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return read_status(status_pb2.Status.FromString(value))
            except DecodeError:
                return None
    return None
