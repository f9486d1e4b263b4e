"""A sidecar as a child process, for programs that want one beside them: the demo, the evaluation, the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from sidecar.errors import SettingsInvalid, SidecarUnavailable

__all__ = ["SidecarProcess"]

POLL_SECONDS = 0.02

Value = str | int | float | bool | Path


class SidecarProcess:
    """Runs `python -m sidecar serve` on free ports of the loopback interface, from entering to leaving the context.

    `models` are bundles as `sidecar serve --models` takes them; none: the starters. `settings` are further settings
    by name. `token` travels in the environment, where a process list does not show it. The log goes to the file
    `log`, else to one of its own that ends with the process.

    Entering raises SidecarUnavailable, with the log's last lines, if the process ends or is not ready in
    `startup_timeout` seconds.

    Usage:
        with SidecarProcess([folder], settings={"threads": 2}) as process:
            with SidecarClient(process.target) as sidecar:
                ...
    """

    def __init__(
        self,
        models: Sequence[str | Path] = (),
        *,
        settings: Mapping[str, Value] | None = None,
        token: str | None = None,
        log: Path | None = None,
        startup_timeout: float = 120.0,
        stop_timeout: float = 40.0,
    ) -> None:
        if any("," in str(model) for model in models):
            raise SettingsInvalid("A bundle's path must not hold a comma: it separates bundles.", field="models")
        chosen: dict[str, Value] = {"grpc_port": 0, "http_port": 0, "admin_port": 0, **(settings or {})}
        if models:
            chosen["models"] = ",".join(str(model) for model in models)
        if token is not None:
            chosen["auth_token"] = token
        self._settings = chosen
        self._log_given = log
        self._startup_timeout = startup_timeout
        self._stop_timeout = stop_timeout
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._ports: dict[str, int] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def target(self) -> str:
        """Address for a gRPC client."""
        return f"127.0.0.1:{self._port('grpc_port')}"

    @property
    def http_url(self) -> str:
        """Base of the HTTP routes, without a slash at the end."""
        scheme = "https" if "tls_certificate" in self._settings else "http"
        return f"{scheme}://127.0.0.1:{self._port('http_port')}"

    @property
    def admin_url(self) -> str:
        """Base of the admin port, without a slash at the end."""
        return f"http://127.0.0.1:{self._port('admin_port')}"

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._running().pid

    def log_text(self) -> str:
        """Return what the process has logged so far."""
        return self._log.read_text(errors="replace") if self._folder is not None else ""

    def start(self, *, wait: bool = True) -> None:
        """Start the process, and return when it is ready."""
        self._folder = tempfile.TemporaryDirectory(prefix="sidecar-")
        environment = {
            # Certificates in the environment are those of a sidecar that others call.
            **{name: value for name, value in os.environ.items() if not name.upper().startswith("SIDECAR_TLS_")},
            **{f"SIDECAR_{name.upper()}": _text(value) for name, value in self._settings.items()},
            "SIDECAR_READY_FILE": str(self._ready_file),
        }
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sidecar", "serve"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        if wait:
            try:
                self.wait_ready()
            except BaseException:
                self.kill()
                self._clean()
                raise

    def wait_ready(self) -> None:
        """Return when the process is ready; raise SidecarUnavailable if it ends or takes too long."""
        process = self._running()
        deadline = time.monotonic() + self._startup_timeout
        while not self._ready_file.exists():
            if process.poll() is not None:
                raise SidecarUnavailable(f"The sidecar ended with code {process.returncode}: {self._last_lines()}")
            if time.monotonic() > deadline:
                raise SidecarUnavailable(
                    f"The sidecar was not ready after {self._startup_timeout:g} s: {self._last_lines()}"
                )
            time.sleep(POLL_SECONDS)
        self._ports = orjson.loads(self._ready_file.read_bytes())

    def stop(self) -> int | None:
        """Ask the process to drain and end; kill it if it does not in time. Returns its exit code."""
        code = None
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGTERM)
            code = self.wait(self._stop_timeout)
        self._clean()
        return code

    def wait(self, timeout: float) -> int:
        """Return the exit code when the process has ended; kill it after `timeout` seconds."""
        process = self._running()
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._running().send_signal(number)

    def kill(self) -> None:
        """End the process on the spot (SIGKILL)."""
        process = self._running()
        process.kill()
        process.wait()

    @property
    def _ready_file(self) -> Path:
        return self._place() / "ready.json"

    @property
    def _log(self) -> Path:
        return self._log_given or self._place() / "sidecar.log"

    def _place(self) -> Path:
        if self._folder is None:
            raise SidecarUnavailable("This sidecar process is not running.")
        return Path(self._folder.name)

    def _port(self, name: str) -> int:
        self._running()
        return self._ports[name]

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise SidecarUnavailable("This sidecar process is not running.")
        return self._process

    def _last_lines(self) -> str:
        return " | ".join(self.log_text().strip().splitlines()[-3:]) or "it said nothing"

    def _clean(self) -> None:
        self._process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
