"""The Dockerfile and what goes into it: linted, pinned, locked, and in step with the settings."""

from __future__ import annotations

import fnmatch
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.tags import Tag
from packaging.utils import parse_wheel_filename

from sidecar import __version__
from sidecar.settings import LOOPBACK, Settings, load_settings
from tests.support.deployment import DOCKERFILE, known_variable, settings_of, stages
from tests.support.documentation import REPOSITORY

IGNORED = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()


def goes_in(path: str) -> bool:
    """Whether a path is part of the build's context: as Docker reads .dockerignore, the last line that fits counts."""
    inside = True
    for line in IGNORED:
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!")
        parts = [path, *(str(parent) for parent in Path(path).parents if str(parent) != ".")]
        names = {Path(part).name for part in parts}
        ending = pattern.removeprefix("**/")
        fits = (
            any(fnmatch.fnmatch(part, pattern) for part in parts)
            if ending == pattern
            else any(fnmatch.fnmatch(name, ending) for name in names)
        )
        if fits:
            inside = line.startswith("!")
    return inside


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip("hadolint's package is for Linux on x86-64")
    done = subprocess.run([hadolint, "--failure-threshold", "style", DOCKERFILE], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_is_copied_is_let_in_and_nothing_else() -> None:
    sources = {source for sources, _ in stages()["build"].copied for source in sources}
    for source in sources:
        assert (REPOSITORY / source).exists()
        assert goes_in(source)
    top = {path.name for path in REPOSITORY.iterdir()}
    assert {name for name in top if goes_in(name)} == sources
    assert goes_in("sidecar/server/app.py")
    assert not goes_in("sidecar/server/__pycache__/app.cpython-312.pyc")
    assert not goes_in(".venv/bin/python")


def test_what_the_package_is_built_from_is_copied() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["force-include"], project["project"]["readme"]}
    needed |= set(project["project"]["license-files"])
    assert needed <= {source for sources, _ in stages()["build"].copied for source in sources}


def test_both_stages_have_one_pinned_python_that_the_package_is_for() -> None:
    found = stages()
    assert set(found) == {"build", "runtime"}
    (base,) = {stage.base for stage in found.values()}
    version = re.fullmatch(r"python:(3\.\d+)\.\d+-slim-\w+", base)
    assert version is not None
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"Programming Language :: Python :: {version[1]}" in project["classifiers"]
    assert re.search(r"pip install --no-cache-dir uv==\d+\.\d+\.\d+$", found["build"].all("RUN")[0])


def test_dependencies_come_from_the_lock_file_alone() -> None:
    syncs = [command for command in stages()["build"].all("RUN") if "uv sync" in command]
    assert len(syncs) == 2
    for command in syncs:
        assert "--locked" in command or "--frozen" in command
        assert "--no-default-groups" in command
        assert "--extra server --extra tracing --extra aws" in command


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_everything_that_is_installed_has_a_wheel_for_both_processors(machine: str) -> None:
    lock = tomllib.loads((REPOSITORY / "uv.lock").read_text(encoding="utf-8"))
    packages = {package["name"]: package for package in lock["package"]}
    environment = {
        "python_full_version": "3.12.12",
        "python_version": "3.12",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": machine,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "os_name": "posix",
    }
    project = packages["splade-sidecar"]
    waiting = [*project["dependencies"], *project["optional-dependencies"]["server"]]
    needed: set[str] = set()
    while waiting:
        wanted = waiting.pop()
        if "marker" in wanted and not Marker(wanted["marker"]).evaluate(environment):
            continue
        package = packages[wanted["name"]]
        if wanted["name"] not in needed:
            needed.add(wanted["name"])
            waiting.extend(package.get("dependencies", ()))
        for extra in wanted.get("extra", ()):
            waiting.extend(package["optional-dependencies"][extra])
    assert {"onnxruntime", "grpcio", "tokenizers", "numpy"} <= needed
    assert not {"torch", "pytest", "ray"} & needed
    for name in needed:
        files = [wheel["url"].rpartition("/")[2] for wheel in packages[name]["wheels"]]
        assert any(fits(file, machine) for file in files), f"{name} has no wheel for {machine}"


def fits(file: str, machine: str) -> bool:
    *_, tags = parse_wheel_filename(file)
    return any(tag_fits(tag, machine) for tag in tags)


def tag_fits(tag: Tag, machine: str) -> bool:
    platform = tag.platform == "any" or (tag.platform.startswith("manylinux") and tag.platform.endswith(machine))
    stable = tag.abi == "abi3" and int(tag.interpreter.removeprefix("cp3")) <= 12
    return platform and (tag.abi == "none" or stable or (tag.interpreter, tag.abi) == ("cp312", "cp312"))


def test_it_runs_as_nobody_in_particular_and_ends_by_sigterm() -> None:
    runtime = stages()["runtime"]
    assert runtime.last("USER") == "10001:10001"
    assert runtime.last("STOPSIGNAL") == "SIGTERM"
    assert runtime.words("ENTRYPOINT") == ["sidecar"]
    assert runtime.words("CMD") == ["serve"]
    # Everything is copied in before the user changes: nothing of it is the user's own.
    names = [name for name, _ in runtime.instructions]
    assert names.index("COPY") < names.index("USER")
    assert "RUN" not in names


def test_its_environment_is_one_that_the_sidecar_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = stages()["runtime"].environment
    own = {name: value for name, value in environment.items() if name.startswith("SIDECAR_")}
    assert all(map(known_variable, own))
    settings = load_settings(**settings_of(own))
    assert (settings.bind, settings.admin_bind) == ("0.0.0.0", "0.0.0.0")
    # And nowhere else: the defaults stay on the loopback interface.
    assert {Settings.model_fields[name].default for name in ("bind", "admin_bind")} <= set(LOOPBACK)
    for name in ("HOME", "SIDECAR_CACHE"):
        assert Path(environment[name]).is_relative_to("/tmp")


def test_the_documented_ports_are_the_settings() -> None:
    exposed = {int(port) for port in stages()["runtime"].last("EXPOSE").split()}
    assert exposed == {Settings.model_fields[name].default for name in ("grpc_port", "http_port", "admin_port")}


def test_labels_are_those_of_oci() -> None:
    labels = stages()["runtime"].last("LABEL")
    for name in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{name}=" in labels
    assert f'version="{__version__}"' in labels
