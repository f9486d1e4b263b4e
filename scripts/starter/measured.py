"""What was measured of the starter bundles, as the cards report it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Figures = Mapping[str, Mapping[str, float]]
Curve = Sequence[Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Ablation:
    """Short trainings of `steps` steps: for each, what the shipped variant scores by collection and slice.

    `terms` is the mean number of a document's terms, by run and collection.
    """

    steps: int
    scores: Figures
    terms: Figures


@dataclass(frozen=True, slots=True)
class Measured:
    """What the cards report.

    `profiles`: nDCG@10 by collection and profile on a real OpenSearch; `collections`: by collection and variant with
    exact dot products; `slices`: MRR@10 by slice and variant; `quantization` and `reranked`: nDCG@10 of fp32 and int8
    by collection, of the sparse encoder and of the cross-encoder; `ablation`: trainings without each ingredient.
    """

    collections: Figures
    slices: Figures
    terms: Mapping[str, float]
    flops: Mapping[str, float]
    profiles: Figures = field(default_factory=dict)
    calibration: Mapping[str, float] = field(default_factory=dict)
    quantization: Figures = field(default_factory=dict)
    reranked: Figures = field(default_factory=dict)
    ablation: Ablation | None = None
