"""From checkpoint folders to the bundles in `models/`, with cards that hold what was measured."""

import json
from pathlib import Path

from scripts.starter.card import Figures, reranker_card, sparse_card
from scripts.starter.checkpoint import replace_file
from scripts.starter.report import Reranking, report
from scripts.starter.workspace import Workspace
from sidecar.bundle.locate import STARTER_RERANKER, STARTER_SPARSE
from sidecar.bundle.manifest import Quantization, ScoreActivation
from sidecar.domain import ModelKind
from sidecar.export import ExportOptions, export_checkpoint

# Judged, but never trained on or chosen by: what the cards report.
REPORTED = ("cranfield", "cystic_fibrosis", "med", "nfcorpus", "time")


def export_sparse(work: Workspace, out: Path, card: str | None = None) -> Path:
    """The sparse encoder's int8 bundle in `out`."""
    options = ExportOptions(
        kind=ModelKind.SPARSE_ENCODER,
        quantize=Quantization.INT8,
        name=STARTER_SPARSE,
        license="Apache-2.0",
        source="scripts/train-starter",
        base_model="sentence-transformers/all-MiniLM-L6-v2",
        max_tokens=512,
        model_card=card,
        replace=True,
    )
    export_checkpoint(work.sparse_folder, out / STARTER_SPARSE, options)
    return out / STARTER_SPARSE


def export_reranker(work: Workspace, out: Path, card: str | None = None) -> Path:
    """The cross-encoder's int8 bundle in `out`."""
    options = ExportOptions(
        kind=ModelKind.CROSS_ENCODER,
        quantize=Quantization.INT8,
        name=STARTER_RERANKER,
        license="Apache-2.0",
        source="scripts/train-starter",
        base_model="sentence-transformers/all-MiniLM-L6-v2",
        score_activation=ScoreActivation.SIGMOID,
        max_tokens=256,
        query_max_tokens=64,
        model_card=card,
        replace=True,
    )
    export_checkpoint(work.reranker_folder, out / STARTER_RERANKER, options)
    return out / STARTER_RERANKER


def publish(work: Workspace, collections: Path, out: Path, *, reranker: bool = True) -> None:
    """Export, measure, and export again with the figures on the cards.

    The card is among the hashed files, so a bundle cannot get its card afterwards; graph and weights are the same.
    """
    trial = work.folder / "bundles"
    bundles = [export_sparse(work, trial)]
    if reranker:
        bundles.append(export_reranker(work, trial))
    reported = [(collections / name, "test") for name in REPORTED]
    figures = report(bundles, reported, work.folder / "vectors", work.progress, Reranking() if reranker else None)
    with replace_file(work.folder / "figures.json") as partial:
        partial.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    publish_cards(work, figures, out, reranker=reranker)


def publish_cards(work: Workspace, figures: Figures, out: Path, *, reranker: bool) -> None:
    """The final bundles, with `figures` on their cards."""
    sources = [document.source for document in work.corpus.documents if not document.held_out]
    export_sparse(work, out, sparse_card(STARTER_SPARSE, sources, _trained(work, "sparse"), figures))
    if reranker:
        export_reranker(work, out, reranker_card(STARTER_RERANKER, sources, _trained(work, "reranker"), figures))


def _trained(work: Workspace, name: str) -> str:
    rows = [json.loads(line) for line in (work.folder / f"{name}.curve.jsonl").read_text().splitlines()]
    last = rows[-1]
    return f"{last['step']:,} steps on two CPU cores, to a divergence from the teacher of {last['divergence']:.2f}."
