"""What `pull`, `export` and `import` say about the bundle they made."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from sidecar.bundle import Bundle
from sidecar.bundle.licenses import is_non_commercial
from sidecar.cli.models.output import console, facts, human_size, license_text, sizes
from sidecar.domain import JsonObject, JsonValue

if TYPE_CHECKING:
    from sidecar.export import CheckResult, ExportReport

__all__ = ["bundle_json", "export_json", "print_export", "print_made", "working"]


@contextmanager
def working(what: str, *, as_json: bool) -> Iterator[None]:
    """Say on a terminal what takes its time, and how long it took."""
    error_console = Console(stderr=True)
    if as_json or not sys.stderr.isatty():
        yield
        return
    started = time.perf_counter()
    error_console.print(f"{escape(what)} …", style="dim", highlight=False)
    yield
    error_console.print(f"done in {time.perf_counter() - started:.1f} s", style="dim", highlight=False)


def bundle_json(bundle: Bundle) -> dict[str, JsonValue]:
    """Return what machines want to know of a new bundle."""
    return {
        "name": bundle.manifest.name,
        "kind": bundle.manifest.kind.value,
        "path": str(bundle.folder),
        "fingerprint": bundle.fingerprint,
        "license": bundle.manifest.license,
        "non_commercial": is_non_commercial(bundle.manifest.license),
        "source": bundle.manifest.source,
        "bytes": sum(sizes(bundle).values()),
    }


def _check_json(check: CheckResult | None) -> JsonObject | None:
    if check is None:
        return None
    return {
        "largest_difference": check.largest_difference,
        "largest_weight": check.largest_weight,
        "cosine": check.cosine,
        "rank_correlation": check.rank_correlation,
        "texts": check.texts,
    }


def export_json(report: ExportReport) -> dict[str, JsonValue]:
    """Return a new bundle and how far its graph is from the checkpoint."""
    return {
        **bundle_json(Bundle.open(report.folder, verify=False)),
        "quantization": report.manifest.quantization.value,
        "fp32": _check_json(report.fp32),
        "int8": _check_json(report.int8),
        "seconds": round(report.seconds, 2),
    }


def print_export(report: ExportReport) -> None:
    """Print a new bundle and how far its graph is from the checkpoint."""
    bundle = Bundle.open(report.folder, verify=False)
    rows = [("fp32 graph", _check_text(report.fp32))]
    if report.int8 is not None:
        rows.append(("int8 graph", _check_text(report.int8)))
    print_made(bundle, rows)


def _check_text(check: CheckResult) -> str:
    text = f"at most {check.largest_difference:.2e} from the checkpoint (largest value {check.largest_weight:.3g})"
    if check.cosine is not None:
        text += f", lowest cosine {check.cosine:.5f}"
    if check.rank_correlation is not None:
        text += f", rank correlation {check.rank_correlation:.4f}"
    return f"{text}, over {check.texts} texts"


def print_made(bundle: Bundle, more: Sequence[tuple[str, str]] = ()) -> None:
    """Print a new bundle, then `more` names and values."""
    manifest = bundle.manifest
    out = console()
    out.print(f"[bold green]{manifest.name}[/]  {manifest.kind.value}")
    table = facts()
    table.add_row("where", f"{escape(str(bundle.folder))} ({human_size(sum(sizes(bundle).values()))})")
    table.add_row("fingerprint", bundle.fingerprint)
    table.add_row("licence", license_text(manifest.license, non_commercial=is_non_commercial(manifest.license)))
    table.add_row("source", escape(manifest.source))
    for heading, value in more:
        table.add_row(heading, value)
    out.print(table)
