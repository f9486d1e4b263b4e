"""What an export may be told, and what it reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sidecar.bundle.manifest import (
    Activation,
    Expansion,
    LexicalFloor,
    Manifest,
    Pooling,
    PruningRule,
    Quantization,
    QueryMode,
    QueryTermFrequency,
    ScoreActivation,
    SpecialTokens,
)
from sidecar.bundle.names import require_name
from sidecar.domain import ModelKind
from sidecar.errors import ExportError

__all__ = ["CheckResult", "ExportOptions", "ExportReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """How a checkpoint becomes a bundle. None: what the checkpoint says, or the usual for its kind.

    `tiles` is the number of pieces the vocabulary is cut into; it changes memory and speed, never the result.
    `calibration` are texts that int8 weights are rounded by, a hundred passages of the kind that will be read; without
    them each weight is rounded by itself.
    `tolerance` is the largest difference allowed between the fp32 graph and the checkpoint, on weights or logits.
    `query_weights` (term -> weight) replace the checkpoint's own table; `query_term_frequency` says whether a term that
    a query repeats weighs more. `folds` (token -> the token it counts as, None: it is no term) fold the vocabulary,
    `lexical_floor` adds BM25's term saturation to every document.

    Usage:
        ExportOptions()
        ExportOptions(quantize=Quantization.INT8, name="my-encoder", license="Apache-2.0")
        ExportOptions(pooling=Pooling.SUM, query_mode=QueryMode.BINARY)
    """

    kind: ModelKind | None = None
    quantize: Quantization = Quantization.FP32
    name: str | None = None
    license: str | None = None
    source: str | None = None
    base_model: str | None = None

    pooling: Pooling | None = None
    activation: Activation | None = None
    expansion: Expansion | None = None
    query_mode: QueryMode | None = None
    query_weights: Mapping[str, float] | None = None
    missing_idf: float | None = None
    query_term_frequency: QueryTermFrequency | None = None
    folds: Mapping[str, str | None] | None = None
    lexical_floor: LexicalFloor | None = None
    special_tokens: SpecialTokens = SpecialTokens.DROP_ALL
    document_pruning: PruningRule | None = None
    query_pruning: PruningRule | None = None
    observed_max_weight: float | None = None
    score_activation: ScoreActivation | None = None

    max_tokens: int | None = None
    query_max_tokens: int | None = None
    tiles: int = 16
    tolerance: float = 1e-3
    check_texts: tuple[str, ...] = ()
    calibration: tuple[str, ...] = ()
    model_card: str | None = None
    replace: bool = False

    def __post_init__(self) -> None:
        if self.name is not None:
            require_name(self.name)
        if self.tiles < 1:
            raise ExportError("The vocabulary is cut into at least one tile.", field="tiles")
        if self.calibration and self.quantize is Quantization.FP32:
            raise ExportError("Only int8 is calibrated: leave the texts out, or take int8.", field="calibration")
        if not self.tolerance > 0.0:
            raise ExportError("The tolerance must be > 0.", field="tolerance")


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How far a graph is from its checkpoint over the check texts.

    `largest_difference` is taken over weights (sparse encoders) or logits (cross-encoders); `cosine` is the lowest
    over the texts (sparse encoders), `rank_correlation` Spearman's over the pairs (cross-encoders).
    `largest_weight` is the largest weight or absolute logit of the checkpoint itself.
    """

    largest_difference: float
    largest_weight: float
    cosine: float | None = None
    rank_correlation: float | None = None
    texts: int = 0


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export made: `fp32` compares the plain graph with the checkpoint, `int8` the quantised one (or None).

    `graph_bytes` and `bundle_bytes` are sizes on disk, `seconds` the wall time of the whole export.
    """

    folder: Path
    manifest: Manifest
    fp32: CheckResult
    int8: CheckResult | None
    graph_bytes: int
    bundle_bytes: int
    seconds: float

    @property
    def largest_difference(self) -> float:
        """Largest absolute difference of the fp32 graph from the checkpoint."""
        return self.fp32.largest_difference
