"""From checkpoint folders to bundles: what each of the starter bundles is."""

import json
from dataclasses import replace
from pathlib import Path

from scripts.starter.folders import FLOOR, FOLDS
from scripts.starter.workspace import Workspace
from sidecar.bundle import STARTER_NEURAL, STARTER_RERANKER, STARTER_SPARSE, LexicalFloor
from sidecar.bundle.manifest import Quantization, QueryMode, QueryTermFrequency, ScoreActivation
from sidecar.domain import ModelKind
from sidecar.export import ExportOptions, export_checkpoint

BASE = "sentence-transformers/all-MiniLM-L6-v2"


def sparse_options(checkpoint: Path) -> ExportOptions:
    """The sparse encoder in int8: folded vocabulary, lexical floor, inference-free queries."""
    return ExportOptions(
        kind=ModelKind.SPARSE_ENCODER,
        quantize=Quantization.INT8,
        name=STARTER_SPARSE,
        license="Apache-2.0",
        source="scripts/train-starter",
        base_model=BASE,
        max_tokens=512,
        missing_idf=0.0,
        query_term_frequency=QueryTermFrequency.SQUARE_ROOT,
        folds=json.loads((checkpoint / FOLDS).read_text(encoding="utf-8")),
        lexical_floor=LexicalFloor.model_validate_json((checkpoint / FLOOR).read_bytes()),
        replace=True,
    )


def export_sparse(work: Workspace, out: Path, card: str | None = None, checkpoint: Path | None = None) -> Path:
    """The inference-free bundle in `out`, of `checkpoint` or else of the finished sparse encoder."""
    folder = checkpoint or work.sparse_folder
    return _export(folder, out, replace(sparse_options(folder), model_card=card))


def export_full_precision(work: Workspace, out: Path) -> Path:
    """The inference-free bundle in fp32, to compare with."""
    options = replace(sparse_options(work.sparse_folder), quantize=Quantization.FP32, name=f"{STARTER_SPARSE}-fp32")
    return _export(work.sparse_folder, out, options)


def export_neural(work: Workspace, out: Path, card: str | None = None) -> Path:
    """The bundle in `out` whose queries go through the same encoder; the graph is byte for byte the other's."""
    options = replace(
        sparse_options(work.sparse_folder),
        name=STARTER_NEURAL,
        query_mode=QueryMode.NEURAL,
        missing_idf=None,
        query_term_frequency=None,
        model_card=card,
    )
    return _export(work.sparse_folder, out, options)


def export_reranker(work: Workspace, out: Path, card: str | None = None) -> Path:
    """The cross-encoder's int8 bundle in `out`."""
    options = ExportOptions(
        kind=ModelKind.CROSS_ENCODER,
        quantize=Quantization.INT8,
        name=STARTER_RERANKER,
        license="Apache-2.0",
        source="scripts/train-starter",
        base_model=BASE,
        score_activation=ScoreActivation.SIGMOID,
        max_tokens=256,
        query_max_tokens=64,
        model_card=card,
        replace=True,
    )
    return _export(work.reranker_folder, out, options)


def _export(checkpoint: Path, out: Path, options: ExportOptions) -> Path:
    if options.name is None:
        raise ValueError("a starter bundle has a name")
    export_checkpoint(checkpoint, out / options.name, options)
    return out / options.name
