"""The Dockerfile's own command lines, run without a container engine: build, read-only file system, user 10001."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.lib.no_integration_skips import OUT_OF_REACH
from tests.support.deployment import Stage, stages
from tests.support.documentation import REPOSITORY
from tests.support.helm import CHART

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

SCRIPT = Path(__file__).with_name("image.sh")

HIDDEN = ("/mnt", "/opt", "/usr/local/src", "/tmp")
"""Where the script puts empty file systems: in its own view, and nobody else's."""


def reason_not_to() -> str | None:
    """Why this machine can't do it, if it can't."""
    if os.geteuid() != 0:
        return "only root may mount file systems and become another user"
    prefix = Path(sys.base_prefix).resolve()
    if any(prefix.is_relative_to(place) for place in HIDDEN) or not all(map(os.path.isdir, HIDDEN)):
        return "this Python lies where the image's own folders are put"
    if importlib.util.find_spec("ensurepip") is None:
        return "this Python can't make a virtual environment with pip"
    if shutil.which("unshare") is None or shutil.which("setpriv") is None:
        return "util-linux is not here"
    tried = subprocess.run(
        ["unshare", "--mount", "--net", "sh", "-c", "mount --make-rprivate / && mount -t tmpfs tmpfs /opt"],
        capture_output=True,
        text=True,
        check=False,
    )
    return None if tried.returncode == 0 else f"no namespaces here: {tried.stderr.strip()}"


def build_script(stage: Stage) -> str:
    """Return the stage's instructions as a shell runs them."""
    lines: list[str] = []
    for name, text in stage.instructions:
        match name:
            case "ENV":
                lines.append(f"export {text}")
            case "WORKDIR":
                lines.append(f"mkdir -p {text} && cd {text}")
            case "COPY":
                *sources, target = shlex.split(text)
                for source in sources:
                    place = f"{target}{source}" if target.endswith("/") else target
                    lines.append(f'cp -rT "$CONTEXT/{source}" {place}')
            case "RUN":
                command = re.sub(r"^(--\w+=\S+\s+)+", "", text)
                lines.append(f"/bin/sh -c {shlex.quote(command)}")
            case "ARG":
                pass
            case _:
                raise AssertionError(f"no shell has {name}")
    return "\n".join(lines)


def runtime_script(stage: Stage) -> str:
    """Return what the running container is told, as variables of a shell."""
    assert stage.all("COPY") == ["--from=build /opt/splade-sidecar /opt/splade-sidecar"]
    healthcheck = stage.last("HEALTHCHECK").partition(" CMD ")[2]
    words = {
        "environment": [f"{name}={value}" for name, value in stage.environment.items()],
        "serve": [*stage.words("ENTRYPOINT"), *stage.words("CMD")],
        "health": Stage("", "", [("CMD", healthcheck)]).words("CMD"),
    }
    user = stage.last("USER").partition(":")[0]
    lines = [f"prefix={shlex.quote(sys.base_prefix)}", f"user={user}", f"work={stage.last('WORKDIR')}"]
    lines.extend(f"{name}=({shlex.join(each)})" for name, each in words.items())
    return "\n".join(lines)


def test_what_the_image_does_is_done_here(tmp_path: Path) -> None:
    reason = reason_not_to()
    if reason is not None:
        pytest.skip(OUT_OF_REACH + reason)
    found = stages()
    context = tmp_path / "context"
    for sources, _ in found["build"].copied:
        for source in sources:
            place = context / source
            place.parent.mkdir(parents=True, exist_ok=True)
            if (REPOSITORY / source).is_dir():
                shutil.copytree(REPOSITORY / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(REPOSITORY / source, place)
    (tmp_path / "cache").mkdir()
    (tmp_path / "build.sh").write_text(build_script(found["build"]), encoding="utf-8")
    (tmp_path / "runtime.sh").write_text(runtime_script(found["runtime"]), encoding="utf-8")
    shutil.copy(CHART / "files" / "check.py", tmp_path)

    # What says where packages are had stays, the rest is the Dockerfile's own.
    unwanted = ("UV_CACHE", "UV_PROJECT", "UV_PYTHON", "UV_FROZEN", "UV_LOCKED", "VIRTUAL_ENV", "PYTHON", "SIDECAR_")
    done = subprocess.run(
        ["unshare", "--mount", "bash", str(SCRIPT), str(tmp_path)],
        env={name: value for name, value in os.environ.items() if not name.startswith(unwanted)},
        capture_output=True,
        text=True,
        timeout=840,
        check=False,
    )

    said = done.stdout
    assert done.returncode == 0, said + done.stderr
    assert "built: splade-sidecar" in said
    assert "checked: " in said
    assert "health: 0" in said
    # Process 1 of its namespace: the kernel hands it no signal that it has no handler for.
    assert re.search(r"^process: NSpid: \d+ (\d+ )?1$", said, re.MULTILINE), said
    assert re.search(r"^user: 10001\s10001\s10001\s10001$", said, re.MULTILINE)
    assert "capabilities: 0000000000000000\n" in said
    assert "splade-sidecar-starter-sparse-v1: " in said
    assert "2 models answer" in said
    assert "read-only: /opt/splade-sidecar" in said
    assert "read-only for root: /opt" in said
    assert "ended: 0" in said
    # Nothing is written while serving folders; the token and telemetry leave no file either.
    assert re.search(r"^left in /tmp: $", said, re.MULTILINE), said
