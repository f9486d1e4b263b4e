"""What deploy/ holds, read for the tests."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sidecar.settings import PREFIX, READ_ELSEWHERE, Settings
from tests.support.documentation import REPOSITORY

__all__ = ["COMPOSE", "DEPLOY", "DOCKERFILE", "EXAMPLES", "Stage", "known_variable", "settings_of", "stages"]

DEPLOY = REPOSITORY / "deploy"
DOCKERFILE = DEPLOY / "Dockerfile"
COMPOSE = DEPLOY / "compose.yaml"
EXAMPLES = DEPLOY / "examples"

MOUNT = re.compile(r"^(--\w+=\S+\s+)+")


@dataclass
class Stage:
    """One stage of the Dockerfile: its instructions in their order, arguments with their defaults filled in."""

    base: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        """Return the arguments of every such instruction; flags such as --mount are left out of RUN's."""
        found = [text for name, text in self.instructions if name == instruction]
        return [MOUNT.sub("", text) for text in found] if instruction == "RUN" else found

    def last(self, instruction: str) -> str:
        """Return the arguments of the last such instruction."""
        return self.all(instruction)[-1]

    def words(self, instruction: str) -> list[str]:
        """Return what an instruction in JSON form holds."""
        found: list[str] = json.loads(self.last(instruction))
        return found

    @property
    def environment(self) -> dict[str, str]:
        """What ENV sets."""
        pairs = [pair for text in self.all("ENV") for pair in shlex.split(text)]
        return dict(pair.split("=", 1) for pair in pairs)

    @property
    def copied(self) -> list[tuple[list[str], str]]:
        """Sources and target of every COPY from the build's context."""
        words = [shlex.split(text) for text in self.all("COPY") if not text.startswith("--from")]
        return [(each[:-1], each[-1]) for each in words]


def stages(path: Path = DOCKERFILE) -> dict[str, Stage]:
    """Return the Dockerfile's stages by name."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    text = re.sub(r"\\\n\s*", " ", text)
    arguments: dict[str, str] = {}
    found: list[Stage] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, rest = line.split(maxsplit=1)
        if name == "ARG":
            key, _, default = rest.partition("=")
            arguments[key] = default
        for key, value in arguments.items():
            rest = rest.replace(f"${{{key}}}", value)
        if name == "FROM":
            base, _, stage = rest.partition(" AS ")
            found.append(Stage(base, stage))
        elif found:
            found[-1].instructions.append((name, rest))
    return {stage.name: stage for stage in found}


def known_variable(name: str) -> bool:
    """Whether the sidecar reads an environment variable of its prefix."""
    return name in READ_ELSEWHERE or name.removeprefix(PREFIX).lower() in Settings.model_fields


def settings_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the settings among environment variables, by their names."""
    own = {name: value for name, value in environment.items() if name.startswith(PREFIX) and name not in READ_ELSEWHERE}
    return {name.removeprefix(PREFIX).lower(): value for name, value in own.items()}
