"""Sidecar processes and in-process servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.server.process import SidecarProcess

__all__ = ["HEAVY_TEXT", "InProcess", "StartSidecar", "client", "sidecar_process", "start_sidecar", "tiny_bundles"]

HEAVY_TEXT = "what the document says about the search and the query " * 12
"""As many tokens as a tiny model reads: a few thousand of these keep it busy for seconds."""


@pytest.fixture(scope="session")
def tiny_bundles(tiny_sparse_bundle: Path, tiny_idf_bundle: Path, tiny_cross_encoder_bundle: Path) -> tuple[Path, ...]:
    """A neural sparse encoder (the default), an inference-free one and a cross-encoder."""
    return (tiny_sparse_bundle, tiny_idf_bundle, tiny_cross_encoder_bundle)


@pytest.fixture(scope="session")
def sidecar_process(tiny_bundles: tuple[Path, ...]) -> Iterator[SidecarProcess]:
    """One real sidecar for all tests that leave it as they found it."""
    with SidecarProcess(tiny_bundles, settings={"threads": 1}) as process:
        yield process


@pytest.fixture
async def client(sidecar_process: SidecarProcess) -> AsyncIterator[AsyncSidecarClient]:
    """A client of `sidecar_process`."""
    async with AsyncSidecarClient(sidecar_process.target, timeout=120.0) as connected:
        yield connected


@dataclass(frozen=True)
class InProcess:
    """A sidecar in the test's own event loop: everything is real, and the test can look inside."""

    lifecycle: object
    grpc_port: int
    http_port: int
    admin_port: int

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.admin_port}"


StartSidecar = Callable[..., Awaitable[InProcess]]


@pytest.fixture
async def start_sidecar(tiny_bundles: tuple[Path, ...]) -> AsyncIterator[StartSidecar]:
    """`await start_sidecar(max_texts=10)`: a sidecar with these settings on free ports, stopped after the test."""
    from sidecar.server.lifecycle import Lifecycle
    from sidecar.settings import load_settings

    started: list[Lifecycle] = []

    async def start(**settings: object) -> InProcess:
        lifecycle = Lifecycle(
            load_settings(
                **{
                    "models": ",".join(map(str, tiny_bundles)),
                    "grpc_port": 0,
                    "http_port": 0,
                    "admin_port": 0,
                    "threads": 1,
                    "drain_grace": 1.0,
                    **settings,
                }
            )
        )
        started.append(lifecycle)
        ports = await lifecycle.start()
        return InProcess(lifecycle, ports.grpc_port, ports.http_port, ports.admin_port)

    yield start
    for lifecycle in started:
        await lifecycle.stop()
