"""Every number of the training recipe, in one place."""

from dataclasses import dataclass

SEED = 20261121

# Templated or purely lexical sources would otherwise fill the batches with near-copies of each other.
SOURCE_WEIGHTS = {
    "cia_factbook": 0.4,
    "ethereum_eips": 0.5,
    "ms_cpp_docs": 0.4,
    "php_manual": 0.5,
    "policyqa": 0.3,
    "powershell_docs": 0.25,
    "python_peps": 0.6,
    "tldr_pages": 0.35,
    "wikipedia_movies": 0.4,
}


@dataclass(frozen=True, slots=True)
class CorpusRecipe:
    """How pairs become the training corpus.

    A source of n pairs gives min(n, tempering * sqrt(n)) * its weight: large sources do not drown small ones.
    """

    tempering: float = 45.0
    untitled_share: float = 0.35
    held_out_share: float = 0.02
    sentence_queries: int = 8_000
    title_queries: int = 6_000
    frequency_passages: int = 8_000
    seed: int = SEED


@dataclass(frozen=True, slots=True)
class TeacherRecipe:
    """The teacher: z(dense cosine) + lexical_weight * z(BM25 of stems) + label_bonus for the labelled pair.

    The floors keep the z-scores of a list without any real difference from blowing up its noise.
    """

    max_tokens: int = 192
    query_tokens: int = 64
    lexical_weight: float = 0.6
    label_bonus: float = 0.5
    dense_floor: float = 0.06
    lexical_floor: float = 1.5
    k1: float = 0.9
    b: float = 0.4


@dataclass(frozen=True, slots=True)
class FloorRecipe:
    """The lexical floor: BM25's term saturation, of fixed `weight` while the encoder learns what to add to it.

    `served` is the weight in the bundle, as it was best on the dev splits.
    """

    weight: float = 1.0
    served: float = 1.0
    k1: float = 1.2
    b: float = 0.75


@dataclass(frozen=True, slots=True)
class SparseRecipe:
    """The sparse encoder's training. A fraction is of `steps`.

    `neighbours`: batches hold passages and queries around two topics, instead of any. `generated_queries`: titles and
    sentences of passages are queries too. `dearest_term`: how much more the most common term costs than a rare one.
    """

    steps: int = 800
    documents: int = 24
    queries: int = 128
    max_tokens: int = 160
    long_every: int = 6
    long_tokens: int = 288
    neighbours: bool = True
    generated_queries: bool = True
    padded_share: float = 0.15
    neural_queries: int = 16
    neural_every: int = 4
    neural_weight: float = 0.5
    body_rate: float = 1e-4
    head_rate: float = 1e-3
    query_rate: float = 2e-3
    scalar_rate: float = 2e-3
    warm_up: float = 0.05
    teacher_sharpness: float = 1.6
    temperature: float = 4.0
    asked_at_least: int = 2
    target_expansions: float = 70.0
    target_query_terms: float = 32.0
    prune_ratio: float = 0.1
    dearest_term: float = 5.0
    penalty_start: float = 1e-4
    penalty_gain: float = 0.05
    query_decay: float = 1e-3
    checkpoint_every: int = 50
    seed: int = SEED


@dataclass(frozen=True, slots=True)
class RerankerRecipe:
    """The cross-encoder's training. A fraction is of `steps`."""

    steps: int = 2400
    passages: int = 20_000
    pool: int = 12_000
    calibration: int = 400
    queries: int = 4
    candidates: int = 8
    max_tokens: int = 128
    long_every: int = 6
    long_tokens: int = 256
    body_rate: float = 1e-4
    head_rate: float = 5e-4
    warm_up: float = 0.06
    teacher_sharpness: float = 1.6
    listwise_weight: float = 1.0
    label_weight: float = 0.3
    checkpoint_every: int = 50
    seed: int = SEED
