"""Starting peers: which Python has them, and talking to the process that holds one."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from benchmarks.errors import BenchmarkFailed, PeerUnavailable

__all__ = ["LOADING_SECONDS", "ROOT", "Answer", "Peers", "Worker", "install_peers"]

ROOT = Path(__file__).resolve().parents[1]

LOADING_SECONDS = 900.0

ENVIRONMENTS = {
    "st-onnx-encoder": "optimum",
    "st-onnx-reranker": "optimum",
    "fastembed": "fastembed",
    "infinity": "infinity",
}
"""Peers that don't go together with the project's own packages, and the environment each needs."""

NEEDED = {
    "torch-encoder": "sentence_transformers",
    "torch-reranker": "sentence_transformers",
    "fastembed": "fastembed",
    "flashrank": "flashrank",
    "naive-encoder": "onnxruntime",
    "bare-loop": "onnxruntime",
    "st-onnx-encoder": "optimum.onnxruntime",
    "st-onnx-reranker": "optimum.onnxruntime",
    "infinity": "infinity_emb",
}
"""The module that shows whether a Python has the peer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a peer took, its peak of resident memory so far, and what it gave."""

    seconds: float
    peak_bytes: int
    terms: int = 0
    scores: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Peers:
    """Where peers are looked for: this Python, and `folder/<environment>` for those that need one of their own."""

    folder: Path
    threads: int
    batch: int

    def start(self, name: str, model: Path, max_tokens: int) -> Worker:
        """Return a worker that is loading `name`; raise PeerUnavailable where no Python has it."""
        return Worker(name, self._python(name), model, max_tokens=max_tokens, batch=self.batch, threads=self.threads)

    def _python(self, name: str) -> Path:
        own = self.folder / ENVIRONMENTS.get(name, "peers") / "bin" / "python"
        candidates = [own] if name in ENVIRONMENTS else [Path(sys.executable), own]
        for python in candidates:
            if python.exists() and _has(python, NEEDED[name]):
                return python
        extra = "`sidecar bench --install-peers` makes its environment" if name in ENVIRONMENTS else "pip install"
        hint = extra if name in ENVIRONMENTS else f"{extra} 'splade-sidecar[peers]'"
        raise PeerUnavailable(f"{name} is not installed: {hint}.")


@cache
def _has(python: Path, module: str) -> bool:
    code = f"import importlib.util as u, sys; sys.exit(u.find_spec({module!r}) is None)"
    return subprocess.run([python, "-c", code], check=False, capture_output=True).returncode == 0


class Worker:
    """A peer in a process of its own."""

    def __init__(self, name: str, python: Path, model: Path, *, max_tokens: int, batch: int, threads: int) -> None:
        self.name = name
        self.versions: dict[str, str] = {}
        # Closed by __exit__: the process writes to it as long as it lives.
        self._errors = tempfile.TemporaryFile(mode="w+", errors="replace")  # noqa: SIM115
        command = [python, "-m", "benchmarks.peers", name, "--folder", model.resolve()]
        sizes = {"--max-tokens": max_tokens, "--batch": batch, "--threads": threads}
        command += [str(part) for pair in sizes.items() for part in pair]
        self._process = subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "HF_HUB_OFFLINE": "1",
                "TOKENIZERS_PARALLELISM": "true",
                "OMP_NUM_THREADS": str(threads),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                stream.close()

    async def ready(self) -> None:
        """Return when the peer has loaded its model; raise PeerUnavailable where it can't."""
        try:
            answer = await asyncio.wait_for(asyncio.to_thread(self._read), LOADING_SECONDS)
        except TimeoutError:
            self._process.kill()
            raise PeerUnavailable(f"{self.name} was not ready after {LOADING_SECONDS:g} s.") from None
        except BenchmarkFailed as error:
            raise PeerUnavailable(error.message) from None
        found = answer.get("versions")
        self.versions = {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}

    async def encode(self, texts: Sequence[str]) -> Answer:
        """Encode the texts; raises BenchmarkFailed where the peer fails."""
        return await self._ask({"do": "encode", "texts": list(texts)})

    async def rerank(self, query: str, documents: Sequence[str]) -> Answer:
        """Score the documents; raises BenchmarkFailed where the peer fails."""
        return await self._ask({"do": "rerank", "query": query, "texts": list(documents)})

    async def _ask(self, request: dict[str, object]) -> Answer:
        answer = await asyncio.to_thread(self._exchange, request)
        seconds, peak, terms, scores = (answer.get(key) for key in ("seconds", "peak_bytes", "terms", "scores"))
        if not isinstance(seconds, float) or not isinstance(peak, int):
            raise BenchmarkFailed(f"{self.name} gave an answer without its time and memory.")
        return Answer(
            seconds,
            peak,
            terms if isinstance(terms, int) else 0,
            tuple(float(score) for score in scores) if isinstance(scores, list) else (),
        )

    def _exchange(self, request: dict[str, object]) -> dict[str, object]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(orjson.dumps(request).decode() + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise BenchmarkFailed(f"{self.name} ended: {self._last_words()}") from None
        return self._read()

    def _read(self) -> dict[str, object]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchmarkFailed(f"{self.name} ended: {self._last_words()}")
        answer = orjson.loads(line)
        if not isinstance(answer, dict) or "error" in answer:
            reason = answer.get("error") if isinstance(answer, dict) else "no object"
            raise BenchmarkFailed(f"{self.name} failed: {reason}")
        return answer

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = [line for line in self._errors.read().splitlines() if line.strip()]
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5.0)
        if self._process.returncode == -signal.SIGKILL:
            return "it was killed, most likely for the memory it took"
        return lines[-1] if lines else "it said nothing"


def install_peers(folder: Path) -> None:
    """Make the environments of peers that need their own, with uv; raises BenchmarkFailed where that fails."""
    own = ROOT / ".tools" / "bin" / "uv"
    uv = shutil.which("uv") or (str(own) if own.exists() else None)
    if uv is None:
        raise BenchmarkFailed("Peers' environments are made with uv: install it first (https://docs.astral.sh/uv).")
    for environment in sorted(set(ENVIRONMENTS.values())):
        python = folder / environment / "bin" / "python"
        requirements = ROOT / "benchmarks" / "peers" / f"requirements-{environment}.txt"
        for command in (
            [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, folder / environment],
            [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, "-r", requirements],
        ):
            done = subprocess.run([str(part) for part in command], check=False, capture_output=True, text=True)
            if done.returncode:
                raise BenchmarkFailed(f"The environment {environment} could not be made: {done.stderr.strip()[-300:]}")
