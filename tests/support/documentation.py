"""Runs the code blocks of the documentation, so that no page promises what does not work.

Blocks marked `python` share one namespace per page; `bash` and `console` blocks run in one folder per page; `json` and
`yaml` blocks must parse. `no-run` after the language, with the reason, leaves a block out: ```bash no-run: needs Docker
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson
import yaml

REPOSITORY = Path(__file__).parents[2]
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: `line` is where its code begins, `skipped` the reason behind `no-run`, or None."""

    page: Path
    line: int
    language: str
    code: str
    skipped: str | None


def pages() -> list[Path]:
    """Every page whose blocks are run: the README and all of docs/."""
    return [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of `page`, in order."""
    text = page.read_text(encoding="utf-8")
    found: list[Block] = []
    for match in FENCE.finditer(text):
        language, _, rest = match["info"].strip().partition(" ")
        skipped = None
        if rest.startswith("no-run"):
            skipped = rest.removeprefix("no-run").lstrip(": ").strip()
            assert skipped, f"{page.name}: a no-run block gives its reason"
        line = text.count("\n", 0, match.start("code")) + 1
        found.append(Block(page, line, language, match["code"], skipped))
    return found


def run_page(page: Path, addresses: Mapping[str, str], folder: Path) -> int:
    """Run the blocks of `page` with the documented addresses replaced by real ones; return how many were run."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    done = 0
    for block in blocks(page):
        if block.skipped is not None:
            continue
        code = block.code
        for documented, real in addresses.items():
            code = code.replace(documented, real)
        where = f"{page.relative_to(REPOSITORY)}:{block.line}"
        match block.language:
            case "python":
                exec(compile("\n" * (block.line - 1) + code, str(page), "exec"), namespace)
            case "bash":
                _run_shell(code, where, addresses, folder)
            case "json":
                orjson.loads(code)
            case "yaml":
                yaml.safe_load(code)
            case _:
                continue
        done += 1
    return done


def _run_shell(code: str, where: str, addresses: Mapping[str, str], folder: Path) -> None:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SIDECAR_BUNDLES": str(REPOSITORY / "models"),
        "SIDECAR_ENGINE": addresses["http://127.0.0.1:9200"],
        "SIDECAR_TARGET": addresses["127.0.0.1:50051"],
        "COLUMNS": "120",
    }
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, f"{where} exited {result.returncode}\n{result.stdout}\n{result.stderr}"
