"""What the bundle will be: the checkpoint's own word, overridden by the options, completed by what is usual."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sidecar.bundle.manifest import (
    Activation,
    Expansion,
    GraphPorts,
    ManifestDraft,
    Pooling,
    PruningRule,
    QueryMode,
    ScoreActivation,
)
from sidecar.domain import ModelKind, PruningType
from sidecar.errors import ExportError, UnsupportedCheckpoint
from sidecar.export.checkpoint.query_weights import checked_query_weights
from sidecar.export.checkpoint.reading import Checkpoint, Head
from sidecar.export.options import ExportOptions

__all__ = ["Recipe", "draft_manifest", "make_recipe"]

MISSING_IDF = 1.0
"""Weight of a query term that the IDF table has never seen: the opensearch models' authors and ml-commons use 1."""

PRUNE_A_TENTH: Final = PruningRule(type=PruningType.MAX_RATIO, value=0.1)
"""What the v3 models were published with: two fifths off the index for less than one per cent of nDCG."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the graph and the manifest; the sparse or the score half is None, by kind."""

    kind: ModelKind
    head: Head
    pooling: Pooling | None
    activation: Activation | None
    query_mode: QueryMode | None
    query_weights: Mapping[str, float] | None
    score_activation: ScoreActivation | None
    token_types: bool
    max_tokens: int


def make_recipe(checkpoint: Checkpoint, options: ExportOptions) -> Recipe:
    """Combine checkpoint and options; raise ExportError where an option does not fit the checkpoint."""
    if options.kind is not None and options.kind is not checkpoint.kind:
        raise UnsupportedCheckpoint(f"{checkpoint.folder} is a {checkpoint.kind}, not a {options.kind}.", field="kind")
    longest = checkpoint.body.positions
    max_tokens = checkpoint.max_tokens if options.max_tokens is None else options.max_tokens
    for name, value in (("max_tokens", max_tokens), ("query_max_tokens", options.query_max_tokens or 3)):
        if not 3 <= value <= longest:
            raise ExportError(f"{name} is {value}; the model reads 3 to {longest} tokens.", field=name)
    if checkpoint.head is Head.SCORE:
        return Recipe(
            kind=ModelKind.CROSS_ENCODER,
            head=checkpoint.head,
            pooling=None,
            activation=None,
            query_mode=None,
            query_weights=None,
            score_activation=options.score_activation or checkpoint.score_activation or ScoreActivation.SIGMOID,
            token_types=checkpoint.body.token_types > 1,
            max_tokens=max_tokens,
        )
    own_terms = checkpoint.head is Head.TOKEN_WEIGHTS
    expansion = Expansion.OWN_TERMS if own_terms else Expansion.VOCABULARY
    if options.expansion not in (None, expansion):
        raise ExportError(
            f"{checkpoint.folder} has a head for {expansion}, not for {options.expansion}.", field="expansion"
        )
    if own_terms and options.activation not in (None, Activation.RELU):
        raise ExportError("Own-term weights go through relu alone.", field="activation")
    query_weights = checkpoint.query_weights
    if options.query_weights is not None:
        query_weights = checked_query_weights(options.query_weights, checkpoint.tokenizer)
    query_mode = options.query_mode or _query_mode(checkpoint, options)
    if query_mode is QueryMode.IDF and query_weights is None:
        raise ExportError(f"{checkpoint.folder} has no query weights; query mode idf needs them.", field="query_mode")
    return Recipe(
        kind=ModelKind.SPARSE_ENCODER,
        head=checkpoint.head,
        pooling=options.pooling or checkpoint.pooling or Pooling.MAX,
        activation=Activation.RELU
        if own_terms
        else options.activation or checkpoint.activation or Activation.LOG1P_RELU,
        query_mode=query_mode,
        query_weights=query_weights if query_mode is QueryMode.IDF else None,
        score_activation=None,
        token_types=False,
        max_tokens=max_tokens,
    )


def draft_manifest(checkpoint: Checkpoint, recipe: Recipe, options: ExportOptions, largest: float) -> ManifestDraft:
    """Declare the bundle; `largest` is the largest document weight seen over the check texts (0: none seen)."""
    sparse = recipe.kind is ModelKind.SPARSE_ENCODER
    own_terms = recipe.head is Head.TOKEN_WEIGHTS
    output, kind = {
        Head.MASKED_LM: ("weights", "weights"),
        Head.TOKEN_WEIGHTS: ("weights", "token_weights"),
        Head.SCORE: ("logits", "score_logits"),
    }[recipe.head]
    idf = recipe.query_mode is QueryMode.IDF
    observed = options.observed_max_weight
    if observed is None:
        floor = options.lexical_floor
        observed = round(largest + (floor.largest if floor else 0.0), 6) or None
    expansion = Expansion.OWN_TERMS if own_terms else Expansion.VOCABULARY
    kept = checkpoint.active_terms
    own_pruning = None if kept is None else PruningRule(type=PruningType.TOP_K, value=kept)
    return ManifestDraft.declare(
        {
            "name": options.name or _name(checkpoint),
            "kind": recipe.kind,
            "license": options.license or checkpoint.card.license or "unknown",
            "source": options.source or checkpoint.folder.name or "a local checkpoint",
            "base_model": options.base_model or checkpoint.card.base_model,
            "max_tokens": recipe.max_tokens,
            "query_max_tokens": options.query_max_tokens,
            "vocabulary_size": checkpoint.rows,
            "quantization": options.quantize,
            "graph": GraphPorts.model_validate(
                {
                    "token_type_ids": "token_type_ids" if recipe.token_types else None,
                    "output": output,
                    "output_kind": kind,
                }
            ),
            "pooling": recipe.pooling,
            "activation": recipe.activation,
            "expansion": expansion if sparse else None,
            "query_mode": recipe.query_mode,
            "missing_idf": (MISSING_IDF if options.missing_idf is None else options.missing_idf) if idf else None,
            "query_term_frequency": options.query_term_frequency,
            "special_tokens": options.special_tokens if sparse else None,
            "document_pruning": (options.document_pruning or own_pruning or PRUNE_A_TENTH) if sparse else None,
            "query_pruning": (options.query_pruning or own_pruning) if sparse else None,
            "observed_max_weight": observed if sparse else None,
            "lexical_floor": options.lexical_floor,
            "score_activation": recipe.score_activation,
        }
    )


def _query_mode(checkpoint: Checkpoint, options: ExportOptions) -> QueryMode:
    if options.query_weights is not None:
        return QueryMode.IDF
    return checkpoint.query_mode or QueryMode.NEURAL


def _name(checkpoint: Checkpoint) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", checkpoint.folder.resolve().name).strip("-._")
    return name[:128] or "model"
