"""One command runs everything: groups one after another, a report after each."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.bench import Bench, Found
from benchmarks.results import Report, Unmeasured, to_result
from benchmarks.rows import GROUPS, Row
from benchmarks.sizes import Sizes
from sidecar.errors import SidecarError
from sidecar.evaluation import environment

__all__ = ["run"]

Measure = Callable[[Bench], Awaitable[Found]]

CPU_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "amx_bf16")


async def run(bench: Bench, rows: tuple[Row, ...], written: Callable[[Report], None]) -> Report:
    """Measure the groups of `rows`; `written` gets the report after each, so that a long run loses nothing.

    A group that fails leaves its rows empty, with the reason, and the next one is measured.
    """
    created = datetime.now(UTC).isoformat(timespec="seconds")
    found: Found = {}
    report = _report(bench, rows, found, created)
    for group in GROUPS:
        wanted = [row for row in rows if row.group == group]
        if not wanted:
            continue
        bench.say(f"{group}: beginning")
        measure: Measure = import_module(f"benchmarks.measures.{group}").measure
        try:
            found |= await measure(bench)
        except SidecarError as error:
            found |= {row.name: Unmeasured(error.message) for row in wanted}
        report = _report(bench, rows, found, created)
        written(report)
    return report


def _report(bench: Bench, rows: tuple[Row, ...], found: Found, created: str) -> Report:
    seen = environment()
    machine: dict[str, str | int | float] = {
        "processor": seen.processor,
        "instructions": " ".join(_flags()),
        "cores": seen.cores,
        "memory_bytes": seen.memory_bytes,
        "system": seen.system,
        "load": seen.load,
    }
    return Report(
        created=created,
        machine=machine,
        versions={"python": seen.python, **seen.versions, **_version_of("torch"), **bench.versions},
        setup=_setup(bench),
        results=tuple(to_result(row, found.get(row.name, Unmeasured("not measured yet"))) for row in rows),
        figures={name: round(value, 4) for name, value in sorted(bench.figures.items())},
    )


def _setup(bench: Bench) -> dict[str, object]:
    sizes: Sizes = bench.sizes
    documents = bench.texts.some(sizes.documents)
    words = sorted(len(text.split()) for text in documents)
    return {
        "texts": bench.texts.source,
        "words per document": {"median": words[len(words) // 2], "p90": words[int(len(words) * 0.9)]},
        "models": {
            bundle.manifest.name: {
                "fingerprint": bundle.fingerprint,
                "quantization": str(bundle.manifest.quantization),
                "tokens": bundle.manifest.max_tokens,
                "peers' weights": bench.origins.get(bundle.manifest.name, "no peer has asked for them"),
            }
            for bundle in (bench.sparse, bench.reranker)
        },
        "documents": len(documents),
        "rounds": sizes.rounds,
        "peers' texts per batch": sizes.batch,
        "threads": sizes.threads,
        "queries": sizes.queries,
        "passages per rerank": sizes.passages,
        "rerank queries": sizes.rerank_queries,
        "spread": "half of the distance between the lowest and the highest round",
    }


def _flags() -> list[str]:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if os.access(path, os.R_OK) else []
    present = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return [flag for flag in CPU_FLAGS if flag in present]


def _version_of(package: str) -> dict[str, str]:
    try:
        return {package: version(package)}
    except PackageNotFoundError:
        return {}
