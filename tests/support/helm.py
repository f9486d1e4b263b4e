"""Helm itself, in a process of its own: its library is written in Go, whose threads do not go together with forks.

`python -m tests.support.helm` reads one request a line, as JSON, and answers each by a line.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
import yaml

from tests.support.documentation import REPOSITORY

__all__ = ["CHART", "Helm", "HelmRefused", "Object", "Rendered", "helm"]

CHART = REPOSITORY / "deploy" / "helm" / "splade-sidecar"

Object = dict[str, object]


class HelmRefused(Exception):
    """What Helm said: of values that the schema refuses, or of a template that fails."""


@dataclass(frozen=True)
class Rendered:
    """What Helm would send to Kubernetes, hooks included, and what it would tell whoever installs."""

    objects: tuple[Object, ...]
    notes: str

    def of(self, kind: str) -> list[Object]:
        """Return the objects of that kind."""
        return [found for found in self.objects if found["kind"] == kind]

    def one(self, kind: str, ending: str = "") -> Object:
        """Return the one object of that kind whose name ends so; fails where there is another number of them."""
        found = [each for each in self.of(kind) if each["metadata"]["name"].endswith(ending)]
        assert len(found) == 1, f"{len(found)} objects of kind {kind}"
        return found[0]


class Helm:
    """Usage: with Helm() as helm: helm.render({"replicaCount": 3}).one("Deployment")"""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.helm"],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=60.0)

    def render(
        self, values: Mapping[str, object] | None = None, *, release: str = "search", namespace: str = "encoders"
    ) -> Rendered:
        """Render the chart with these values; raise HelmRefused."""
        files = self._ask("render", values=values or {}, release=release, namespace=namespace)
        notes = [text for name, text in files.items() if name.endswith("NOTES.txt")]
        manifests = [text for name, text in sorted(files.items()) if name.endswith(".yaml")]
        objects = [each for text in manifests for each in yaml.safe_load_all(text) if each is not None]
        return Rendered(tuple(objects), "".join(notes))

    def lint(self, values: Mapping[str, object] | None = None) -> list[str]:
        """Return what `helm lint --strict` says, but for mere information."""
        report = self._ask("lint", values=values or {})
        messages = [f"{each['path']}: {each['error']}" for each in report["messages"] if each["severity"] > 1]
        return [*messages, *report["errors"]]

    def package(self, folder: Path) -> list[str]:
        """Return the names of the files in the archive that `helm package` makes of the chart."""
        return self._ask("package", folder=str(folder))

    def _ask(self, action: str, **request: object) -> object:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"action": action, **request}), file=self._process.stdin, flush=True)
        answer = json.loads(self._process.stdout.readline())
        if "refused" in answer:
            raise HelmRefused(answer["refused"])
        return answer["result"]


@pytest.fixture(scope="session")
def helm() -> Iterator[Helm]:
    if importlib.util.find_spec("helm_python") is None:
        pytest.skip("Helm's library is for Linux on x86-64")
    with Helm() as running:
        yield running


def _answer(request: Mapping[str, object]) -> object:
    import tarfile

    import helm_python

    match request["action"]:
        case "render":
            with helm_python.Chart.load(CHART) as chart:
                chart.validate_schema(request["values"])
                return chart.render(
                    request["values"], name=request["release"], namespace=request["namespace"], is_install=True
                )
        case "lint":
            return helm_python.lint(CHART, request["values"], strict=True)
        case "package":
            with helm_python.Chart.load(CHART) as chart, tarfile.open(chart.save(request["folder"])) as archive:
                return sorted(archive.getnames())
    raise AssertionError(request)


def _serve() -> None:
    import helm_python

    for line in sys.stdin:
        try:
            answer: Mapping[str, object] = {"result": _answer(json.loads(line))}
        except helm_python.HelmError as error:
            answer = {"refused": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _serve()
