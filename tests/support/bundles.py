"""Bundles whose files are placeholders: for everything that never runs the graph."""

from __future__ import annotations

from pathlib import Path

from sidecar.bundle import (
    Activation,
    Expansion,
    GraphPorts,
    Manifest,
    ManifestDraft,
    Pooling,
    QueryMode,
    ScoreActivation,
    SpecialTokens,
    write_bundle,
)
from sidecar.domain import ModelKind

__all__ = ["CROSS_ENCODER", "SPARSE_ENCODER", "placeholder_bundle"]

SPARSE_ENCODER = ManifestDraft(
    name="placeholder-sparse",
    kind=ModelKind.SPARSE_ENCODER,
    license="Apache-2.0",
    source="made by the tests",
    max_tokens=256,
    vocabulary_size=100,
    graph=GraphPorts(),
    pooling=Pooling.MAX,
    activation=Activation.LOG1P_RELU,
    expansion=Expansion.VOCABULARY,
    query_mode=QueryMode.NEURAL,
    special_tokens=SpecialTokens.DROP_ALL,
)

CROSS_ENCODER = ManifestDraft(
    name="placeholder-cross",
    kind=ModelKind.CROSS_ENCODER,
    license="MIT",
    source="made by the tests",
    max_tokens=512,
    vocabulary_size=100,
    graph=GraphPorts(token_type_ids="token_type_ids", output="logits", output_kind="score_logits"),
    score_activation=ScoreActivation.IDENTITY,
)


def placeholder_bundle(folder: Path, draft: ManifestDraft = SPARSE_ENCODER) -> Manifest:
    """Write a bundle of small files to `folder`; every byte of them counts for the hashes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(bytes(range(64)))
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    (folder / "README.md").write_text("# A placeholder\n\nIt encodes nothing.\n")
    return write_bundle(folder, draft)
