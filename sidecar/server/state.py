"""Where the process stands between start and end, and what it was built from: read by probes, set by the lifecycle."""

from __future__ import annotations

import platform
import time
from datetime import UTC, datetime
from enum import StrEnum
from importlib import metadata

from sidecar import __version__
from sidecar.domain import JsonObject, ModelInfo

__all__ = ["Phase", "ServerState"]

REPORTED_LIBRARIES = ("grpcio", "protobuf", "onnxruntime", "tokenizers", "numpy", "fastapi", "uvicorn")
"""Distributions whose versions `/buildinfo` shows: the ones whose behaviour a bug report is likely to turn on."""


class Phase(StrEnum):
    """`starting` loads and warms up, `ready` serves, `draining` finishes what is in flight."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


class ServerState:
    """One per process; moves forward only: starting, ready, draining. Draining may follow starting at once.

    Usage:
        state = ServerState()
        state.become_ready(service.models(), threads=2)
        state.begin_draining()
    """

    def __init__(self) -> None:
        self._phase = Phase.STARTING
        self._was_ready = False
        self._models: tuple[ModelInfo, ...] = ()
        self._threads = 0
        self._providers: tuple[str, ...] = ()
        self._started_at = time.time()

    @property
    def phase(self) -> Phase:
        """Where the process stands."""
        return self._phase

    @property
    def live(self) -> bool:
        """Whether the process is worth keeping: depends on nothing but that it can answer."""
        return True

    @property
    def ready(self) -> bool:
        """Whether new work should be sent here."""
        return self._phase is Phase.READY

    @property
    def started(self) -> bool:
        """Whether start-up was completed, now or once."""
        return self._was_ready

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        """The models served; empty until ready."""
        return self._models

    def become_ready(
        self, models: tuple[ModelInfo, ...], *, threads: int, providers: tuple[str, ...] = ("cpu",)
    ) -> None:
        """Leave `starting`. A drain that began meanwhile stands."""
        self._models, self._threads, self._providers, self._was_ready = models, threads, providers, True
        if self._phase is Phase.STARTING:
            self._phase = Phase.READY

    def begin_draining(self) -> None:
        """Take no new work from now on; there is no way back."""
        self._phase = Phase.DRAINING

    def build_info(self) -> JsonObject:
        """Describe what runs here: versions, models with their fingerprints, threads, start time (RFC 3339)."""
        return {
            "version": __version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "libraries": {name: version for name in REPORTED_LIBRARIES if (version := _version_of(name)) is not None},
            "started_at": datetime.fromtimestamp(self._started_at, UTC).isoformat(),
            "threads": self._threads,
            "providers": list(self._providers),
            "models": [
                {
                    "name": model.name,
                    "kind": str(model.kind),
                    "fingerprint": model.fingerprint,
                    "quantization": model.quantization,
                }
                for model in self._models
            ],
        }


def _version_of(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
