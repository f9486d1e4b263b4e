"""Raw channels to the shared sidecar, what a client that is not ours sees; and certificates for one of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import trustme
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from sidecar.server.process import SidecarProcess
from sidecar.server.tls import rotation
from tests.support.certificates import Secret, authority_pem, issued


@pytest.fixture
def channel(sidecar_process: SidecarProcess) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(sidecar_process.target) as channel:
        yield channel


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def clients() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secret(tmp_path: Path, authority: trustme.CA, clients: trustme.CA) -> Secret:
    return Secret(tmp_path / "tls", issued(authority), authority_pem(clients))


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are looked at ten times a second."""
    monkeypatch.setattr(rotation, "LOOK_SECONDS", 0.1)


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
