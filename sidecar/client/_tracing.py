"""A span around each call of the client, and the trace context that goes along with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sidecar.errors import SidecarError, wire_error
from sidecar.tracing import Attributes, Headers, propagated, span

__all__ = ["traced_call"]

STATUS_CODE = "rpc.response.status_code"


@contextmanager
def traced_call(method: str, target: str) -> Iterator[Headers]:
    """Open the span of one call, retries included, and give the metadata to send with it.

    `method` is the full name without the leading slash: `sidecar.v1.SparseEncoder/Encode`.
    """
    with span(method, _described(method, target), client=True) as current:
        try:
            yield propagated()
        except SidecarError as error:
            if current is not None:
                current.set_attribute(STATUS_CODE, wire_error(error).code.name)
            raise
        if current is not None:
            current.set_attribute(STATUS_CODE, "OK")


def _described(method: str, target: str) -> Attributes:
    """Return the semantic conventions' attributes of a gRPC client's span."""
    # `dns:///sidecar:50051` and `sidecar:50051` are the same address.
    host, colon, port = target.rpartition("/")[2].rpartition(":")
    attributes: dict[str, str | int] = {"rpc.system.name": "grpc", "rpc.method": method}
    if colon and port.isdecimal():
        return {**attributes, "server.address": host.strip("[]"), "server.port": int(port)}
    return {**attributes, "server.address": target}
