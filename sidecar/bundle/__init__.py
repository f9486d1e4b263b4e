"""Model bundles: manifest, fingerprint, opening, writing, finding; and the catalogue of known models."""

from sidecar.bundle.loading import Bundle
from sidecar.bundle.locate import (
    STARTER_NEURAL,
    STARTER_RERANKER,
    STARTER_SPARSE,
    STARTERS,
    bundle_folders,
    default_bundle_folder,
    find_bundle,
    installed_bundles,
)
from sidecar.bundle.manifest import (
    Activation,
    Expansion,
    GraphPorts,
    LexicalFloor,
    Manifest,
    ManifestDraft,
    Pooling,
    PruningRule,
    Quantization,
    QueryMode,
    QueryTermFrequency,
    ScoreActivation,
    SpecialTokens,
)
from sidecar.bundle.writing import write_bundle, zip_bundle

__all__ = [
    "STARTERS",
    "STARTER_NEURAL",
    "STARTER_RERANKER",
    "STARTER_SPARSE",
    "Activation",
    "Bundle",
    "Expansion",
    "GraphPorts",
    "LexicalFloor",
    "Manifest",
    "ManifestDraft",
    "Pooling",
    "PruningRule",
    "Quantization",
    "QueryMode",
    "QueryTermFrequency",
    "ScoreActivation",
    "SpecialTokens",
    "bundle_folders",
    "default_bundle_folder",
    "find_bundle",
    "installed_bundles",
    "write_bundle",
    "zip_bundle",
]
