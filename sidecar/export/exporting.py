"""`export_checkpoint`: read, build, check, and only then let the bundle appear."""

from __future__ import annotations

import time
from pathlib import Path

import orjson
import structlog

from sidecar.bundle.manifest import Quantization
from sidecar.bundle.names import CARD, FOLDS, GRAPH, QUERY_WEIGHTS, TOKENIZER
from sidecar.bundle.writing import write_bundle
from sidecar.errors import ExportMismatch
from sidecar.export.calibration import input_statistics
from sidecar.export.cards import model_card
from sidecar.export.checking import compare, make_samples
from sidecar.export.checkpoint.reading import Checkpoint, read_checkpoint
from sidecar.export.graph.building import build_graph
from sidecar.export.options import CheckResult, ExportOptions, ExportReport
from sidecar.export.placing import appearing, require_place
from sidecar.export.recipe import Recipe, draft_manifest, make_recipe

__all__ = ["export_checkpoint"]

log = structlog.get_logger(__name__)


def export_checkpoint(checkpoint: Path, out: Path, options: ExportOptions | None = None) -> ExportReport:
    """Turn the checkpoint folder into a bundle folder at `out`, which appears complete or not at all.

    The fp32 graph is always built and compared with the checkpoint; with int8 the quantised graph is compared too.
    Raises UnsupportedCheckpoint for what the exporter does not know, ExportMismatch where the fp32 graph differs by
    more than the tolerance, ExportError where an option does not fit, `out` can't be written, or exists and may not be
    replaced: only a bundle ever is.
    """
    started = time.monotonic()
    options = options or ExportOptions()
    require_place(out, replace=options.replace, source=checkpoint)
    found = read_checkpoint(checkpoint)
    recipe = make_recipe(found, options)
    with appearing(out) as folder:
        fp32, int8 = _write_graph(found, recipe, options, folder)
        draft = draft_manifest(found, recipe, options, fp32.largest_weight)
        found.tokenizer.save(str(folder / TOKENIZER), pretty=False)
        if recipe.query_weights is not None:
            (folder / QUERY_WEIGHTS).write_bytes(orjson.dumps(dict(recipe.query_weights)))
        if options.folds is not None:
            (folder / FOLDS).write_bytes(orjson.dumps(dict(options.folds)))
        (folder / CARD).write_text(model_card(found, draft, options, fp32, int8), encoding="utf-8")
        manifest = write_bundle(folder, draft)
    report = ExportReport(
        folder=out,
        manifest=manifest,
        fp32=fp32,
        int8=int8,
        graph_bytes=sum(file.stat().st_size for file in out.glob(f"{GRAPH}*")),
        bundle_bytes=sum(file.stat().st_size for file in out.rglob("*") if file.is_file()),
        seconds=time.monotonic() - started,
    )
    log.info(
        "checkpoint_exported",
        name=manifest.name,
        fingerprint=manifest.fingerprint,
        largest_difference=fp32.largest_difference,
        graph_bytes=report.graph_bytes,
    )
    return report


def _write_graph(
    checkpoint: Checkpoint, recipe: Recipe, options: ExportOptions, folder: Path
) -> tuple[CheckResult, CheckResult | None]:
    graph = folder / GRAPH
    samples = make_samples(checkpoint, recipe, options)
    build_graph(checkpoint, recipe, Quantization.FP32, options.tiles).save(graph)
    fp32 = compare(graph, samples, recipe)
    if not fp32.largest_difference <= options.tolerance:
        raise ExportMismatch(
            f"The exported graph differs from {checkpoint.folder} by {fp32.largest_difference:.3g}, more than the "
            f"tolerance of {options.tolerance:.3g}. No bundle was written."
        )
    if options.quantize is Quantization.FP32:
        return fp32, None
    for file in folder.glob(f"{GRAPH}*"):
        file.unlink()
    statistics = input_statistics(checkpoint, recipe, options, folder) if options.calibration else ()
    build_graph(checkpoint, recipe, Quantization.INT8, options.tiles, statistics).save(graph)
    return fp32, compare(graph, samples, recipe)
