"""From checkpoint folders to bundles: what each of the starter bundles is."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from scripts.starter.corpus import Document
from scripts.starter.folders import FLOOR, FOLDS
from scripts.starter.workspace import Workspace
from sidecar.bundle import STARTER_NEURAL, STARTER_RERANKER, STARTER_SPARSE, LexicalFloor
from sidecar.bundle.manifest import Quantization, QueryMode, QueryTermFrequency, ScoreActivation
from sidecar.domain import ModelKind
from sidecar.export import ExportOptions, export_checkpoint

BASE = "sentence-transformers/all-MiniLM-L6-v2"

SPARSE_CALIBRATION, RERANKER_CALIBRATION = 4, 8
"""Passages of each source: int8 weights are rounded by what their inputs look like on these."""


def calibration_texts(documents: Sequence[Document], of_each: int) -> tuple[str, ...]:
    """Up to `of_each` trained passages of every source, evenly spaced in the order of the corpus."""
    sources: dict[str, list[str]] = defaultdict(list)
    for document in documents:
        if not document.held_out:
            sources[document.source].append(document.text)
    return tuple(text for texts in sources.values() for text in texts[:: -(-len(texts) // of_each)])


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
    calibration = calibration_texts(work.corpus.documents, SPARSE_CALIBRATION)
    return _export(folder, out, replace(sparse_options(folder), calibration=calibration, model_card=card))


def export_full_precision(work: Workspace, out: Path, name: str) -> Path:
    """The sparse encoder or the cross-encoder in fp32, to compare with; `name` is the int8 bundle's."""
    if name == STARTER_SPARSE:
        folder, options = work.sparse_folder, sparse_options(work.sparse_folder)
    else:
        folder, options = work.reranker_folder, reranker_options()
    return _export(folder, out, replace(options, quantize=Quantization.FP32, name=f"{name}-fp32"))


def export_neural(work: Workspace, out: Path, card: str | None = None) -> Path:
    """The bundle in `out` whose queries go through the same encoder; the graph is byte for byte the other's."""
    options = replace(
        sparse_options(work.sparse_folder),
        name=STARTER_NEURAL,
        query_mode=QueryMode.NEURAL,
        missing_idf=None,
        query_term_frequency=None,
        calibration=calibration_texts(work.corpus.documents, SPARSE_CALIBRATION),
        model_card=card,
    )
    return _export(work.sparse_folder, out, options)


def reranker_options() -> ExportOptions:
    """The cross-encoder in int8; its scores are probabilities."""
    return ExportOptions(
        kind=ModelKind.CROSS_ENCODER,
        quantize=Quantization.INT8,
        name=STARTER_RERANKER,
        license="Apache-2.0",
        source="scripts/train-starter",
        base_model=BASE,
        score_activation=ScoreActivation.SIGMOID,
        max_tokens=256,
        query_max_tokens=64,
        replace=True,
    )


def export_reranker(work: Workspace, out: Path, card: str | None = None) -> Path:
    """The cross-encoder's int8 bundle in `out`."""
    calibration = calibration_texts(work.corpus.documents, RERANKER_CALIBRATION)
    return _export(work.reranker_folder, out, replace(reranker_options(), calibration=calibration, model_card=card))


def _export(checkpoint: Path, out: Path, options: ExportOptions) -> Path:
    if options.name is None:
        raise ValueError("a starter bundle has a name")
    export_checkpoint(checkpoint, out / options.name, options)
    return out / options.name
