"""Raw channels to the shared sidecar: what a client that is not ours sees."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from sidecar.client import AsyncSidecarClient
from sidecar.server.process import SidecarProcess


@pytest.fixture
def channel(sidecar_process: SidecarProcess) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(sidecar_process.target) as channel:
        yield channel


@pytest.fixture
async def client(sidecar_process: SidecarProcess) -> AsyncIterator[AsyncSidecarClient]:
    async with AsyncSidecarClient(sidecar_process.target, timeout=60.0) as client:
        yield client


class Refusal:
    """A failed call, as its status and details say."""

    def __init__(self, error: grpc.RpcError) -> None:
        self.code = error.code()
        status = rpc_status.from_call(error)
        self.status: status_pb2.Status = status_pb2.Status() if status is None else status

    def detail(self, kind: type[Message]) -> Message:
        for part in self.status.details:
            if part.Is(kind.DESCRIPTOR):
                found = kind()
                part.Unpack(found)
                return found
        raise AssertionError(f"The status has no {kind.__name__}.")

    @property
    def reason(self) -> str:
        info = self.detail(error_details_pb2.ErrorInfo)
        assert info.domain == "sidecar.v1"
        return info.reason

    @property
    def field(self) -> str:
        return self.detail(error_details_pb2.ErrorInfo).metadata.get("field", "")
