"""A real uvicorn server in a thread, in front of the real inference service with tiny models."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.types import ASGIApp

from sidecar.bundle import Bundle
from sidecar.inference import InferenceService
from sidecar.server.admin import create_admin_app
from sidecar.server.http import create_http_app
from sidecar.server.searching import InProcessSidecar, SearchPlan, SearchService
from sidecar.server.state import ServerState
from sidecar.settings import Settings


@contextmanager
def running(app: ASGIApp) -> Iterator[str]:
    """Serve `app` on a free port of the loopback interface; yields the base URL."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="off", log_level="error"))
    thread = threading.Thread(target=asyncio.run, args=(server.serve(),), name="test-http", daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        assert not thread.is_alive()


@dataclass(frozen=True, slots=True)
class Served:
    """A running edge, and what it runs on."""

    url: str
    admin_url: str
    service: InferenceService
    state: ServerState
    http: httpx.Client
    admin: httpx.Client


Serve = Callable[..., Served]


@contextmanager
def _serving(service: InferenceService, settings: Settings, state: ServerState) -> Iterator[Served]:
    plan = SearchPlan.of(settings)
    search = None if plan is None else SearchService(plan, InProcessSidecar(service))
    with ExitStack() as stack:
        url = stack.enter_context(running(create_http_app(service, settings, state, search)))
        admin_url = stack.enter_context(running(create_admin_app(service, settings, state, plan)))
        http = stack.enter_context(httpx.Client(base_url=url, timeout=60.0, trust_env=False))
        admin = stack.enter_context(httpx.Client(base_url=admin_url, timeout=60.0, trust_env=False))
        yield Served(url, admin_url, service, state, http, admin)


@pytest.fixture(scope="session")
def bundles(tiny_sparse_bundle: Path, tiny_idf_bundle: Path, tiny_cross_encoder_bundle: Path) -> list[Bundle]:
    return [Bundle.open(path) for path in (tiny_sparse_bundle, tiny_idf_bundle, tiny_cross_encoder_bundle)]


@pytest.fixture(scope="session")
def service(bundles: list[Bundle]) -> Iterator[InferenceService]:
    service = InferenceService.load(bundles, Settings(threads=1))
    yield service
    service.close()


@pytest.fixture(scope="session")
def served(service: InferenceService) -> Iterator[Served]:
    """The edge with the default settings, shared by all tests that change nothing about it."""
    state = ServerState()
    state.become_ready(service.models(), threads=1)
    with _serving(service, Settings(threads=1), state) as served:
        yield served


@pytest.fixture(scope="session")
def http(served: Served) -> httpx.Client:
    return served.http


@pytest.fixture
def serve(bundles: list[Bundle], service: InferenceService) -> Iterator[Serve]:
    """`serve(ready=True, own_service=False, **settings)`: an edge of one's own, gone after the test."""
    with ExitStack() as stack:

        def start(*, ready: bool = True, own_service: bool = False, **settings: object) -> Served:
            chosen = Settings.model_validate({"threads": 1, **settings})
            behind = service
            if own_service:
                behind = InferenceService.load(bundles, chosen)
                stack.callback(behind.close)
            state = ServerState()
            if ready:
                state.become_ready(behind.models(), threads=1)
            return stack.enter_context(_serving(behind, chosen, state))

        yield start
