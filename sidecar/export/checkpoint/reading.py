"""A checkpoint folder as a whole: which kind of model it is and everything an export needs of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tokenizers import Tokenizer

from sidecar.bundle.manifest import Activation, Pooling, QueryMode, ScoreActivation
from sidecar.domain import ModelKind
from sidecar.errors import UnsupportedCheckpoint
from sidecar.export.checkpoint.architecture import Body, Config, read_config
from sidecar.export.checkpoint.card import Card, read_card
from sidecar.export.checkpoint.layout import find_layout
from sidecar.export.checkpoint.names import body_prefix, masked_lm_names
from sidecar.export.checkpoint.query_weights import checked_query_weights, read_query_weights
from sidecar.export.checkpoint.sentence_transformers import (
    active_terms,
    read_model_config,
    refuse_prompts,
    require_dot_product,
)
from sidecar.export.checkpoint.tokenizer import model_max_length, read_tokenizer
from sidecar.export.checkpoint.weights import Weights

__all__ = ["Checkpoint", "Head", "read_checkpoint"]


class Head(StrEnum):
    """What stands on the body."""

    MASKED_LM = "masked-lm"
    TOKEN_WEIGHTS = "token-weights"
    SCORE = "score"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint as it was found; None where the folder says nothing.

    `rows` is the number of terms: the tokenizer's vocabulary (embedding tables are often padded beyond it).
    `query_weights` are term -> weight; `active_terms` is how many terms a vector keeps, the heaviest; `tied`: the
    decoder is the embedding table.
    """

    folder: Path
    transformer: Path
    config: Config
    body: Body
    weights: Weights
    prefix: str
    head: Head
    tokenizer: Tokenizer
    rows: int
    max_tokens: int
    tied: bool
    pooling: Pooling | None
    activation: Activation | None
    query_mode: QueryMode | None
    query_weights: Mapping[str, float] | None
    active_terms: int | None
    score_activation: ScoreActivation | None
    card: Card

    @property
    def kind(self) -> ModelKind:
        return ModelKind.CROSS_ENCODER if self.head is Head.SCORE else ModelKind.SPARSE_ENCODER


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint folder; raise UnsupportedCheckpoint, saying what it is, for what can't be exported."""
    if not folder.is_dir():
        raise UnsupportedCheckpoint(f"{folder} is no folder.")
    layout = find_layout(folder)
    config = read_config(layout.transformer)
    body = Body.of(config)
    weights = Weights.open(layout.transformer)
    head = _head(config, body, weights)
    model_config = read_model_config(folder)
    sparse = head is not Head.SCORE
    refuse_prompts(folder, model_config, by_side=sparse)
    if sparse:
        require_dot_product(folder, model_config)
    tokenizer = read_tokenizer(layout.transformer)
    rows = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1
    if rows > body.vocabulary:
        raise UnsupportedCheckpoint(f"The tokenizer has {rows} terms, the model only {body.vocabulary}.")
    query_weights = None
    if head is Head.MASKED_LM:
        found = read_query_weights(folder, layout, tokenizer)
        query_weights = None if found is None else checked_query_weights(found, tokenizer)
    declared = model_max_length(layout.transformer)
    return Checkpoint(
        folder=folder,
        transformer=layout.transformer,
        config=config,
        body=body,
        weights=weights,
        prefix=body_prefix(weights),
        head=head,
        tokenizer=tokenizer,
        rows=rows,
        max_tokens=body.positions if declared is None else min(declared, body.positions),
        tied=_tied(config, body, weights),
        pooling=layout.pooling,
        activation=layout.activation,
        query_mode=_query_mode(query_weights),
        query_weights=query_weights,
        active_terms=active_terms(folder, model_config) if sparse else None,
        score_activation=None if sparse else _score_activation(config, model_config),
        card=read_card(folder),
    )


def _head(config: Config, body: Body, weights: Weights) -> Head:
    """By the tensors rather than by `architectures`, which training scripts often leave as they found it."""
    if "tok_proj.weight" in weights:
        return Head.TOKEN_WEIGHTS
    for name in ("classifier.weight", "classifier.out_proj.weight"):
        if name in weights:
            labels = weights[name].shape[0]
            if labels != 1:
                raise UnsupportedCheckpoint(f"{config.path} classifies into {labels} labels; a cross-encoder has one.")
            return Head.SCORE
    if f"{masked_lm_names(body.family).dense}.weight" in weights:
        return Head.MASKED_LM
    named = ", ".join(config.architectures) or "a model without architecture"
    if any(name.startswith("impact_score_encoder") for name in weights):
        raise UnsupportedCheckpoint(
            f"{config.path} is DeepImpact: it weighs whole words, which a word-piece bundle can't express."
        )
    raise UnsupportedCheckpoint(
        f"{config.path} is {named}: no masked-LM head, no classifier and no tok_proj among its weights. "
        "A dense embedding model is no sparse encoder; a foreign graph comes in with `sidecar models import`."
    )


def _tied(config: Config, body: Body, weights: Weights) -> bool:
    decoder = f"{masked_lm_names(body.family).decoder}.weight"
    return decoder not in weights or config.flag("tie_word_embeddings", True)


def _query_mode(query_weights: Mapping[str, float] | None) -> QueryMode | None:
    if query_weights is None:
        return None
    # SPLADE-doc ships a table of ones: presence alone.
    return QueryMode.BINARY if set(query_weights.values()) == {1.0} else QueryMode.IDF


def _score_activation(config: Config, model_config: Mapping[str, object]) -> ScoreActivation:
    """As sentence-transformers' CrossEncoder decides: the configured function, else sigmoid for one label.

    `model_config` is what release 6 writes it to; releases before it wrote to config.json, under two names.
    """
    named = model_config.get("activation_fn")
    if named is None:
        named = config.section("sentence_transformers").get("activation_fn")
    if named is None:
        named = config.get("sbert_ce_default_activation_function")
    if named is None:
        return ScoreActivation.SIGMOID
    match str(named).rpartition(".")[2]:
        case "Identity":
            return ScoreActivation.IDENTITY
        case "Sigmoid":
            return ScoreActivation.SIGMOID
        case other:
            raise UnsupportedCheckpoint(f"{config.path} scores through {other}; known are Identity and Sigmoid.")
