"""A ready ONNX file and its tokenizer -> a bundle, after the graph has shown by running what it is."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import orjson

from sidecar.bundle import (
    Activation,
    Expansion,
    GraphPorts,
    Manifest,
    ManifestDraft,
    Pooling,
    PruningRule,
    QueryMode,
    ScoreActivation,
    SpecialTokens,
    write_bundle,
)
from sidecar.bundle.names import CARD, GRAPH, QUERY_WEIGHTS, TOKENIZER, require_name
from sidecar.domain import ModelKind
from sidecar.errors import InvalidInput, UnsupportedCheckpoint
from sidecar.export.placing import appearing, require_place
from sidecar.export.ports import GraphOutput, PortNames, TrialRun, choose_inputs, open_session
from sidecar.export.surgery import copy_graph, difference_of_two_logits

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["ImportOptions", "ImportReport", "import_onnx", "read_query_weights"]

TRIAL_TEXTS = (
    "hello world",
    "Water boils at a lower temperature in the mountains, because the pressure of the air is lower there.",
)
TRIAL_QUERY = "why does water boil faster on a mountain"

PADDING_TOLERANCE = 0.05
"""Padding may move a weight by this share of the largest one: dynamically quantised graphs see the whole batch."""

DENSE_SHARE = 0.5

FIND_OUT = PortNames()


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What an ONNX file does not say about itself.

    `max_tokens` counts special tokens. None: `query_mode` idf where there are query weights, else neural;
    `score_activation` sigmoid where the graph gives two logits, else identity.
    """

    name: str
    kind: ModelKind
    license: str
    tokenizer: Path
    query_weights: Path | None = None
    source: str | None = None
    base_model: str | None = None
    max_tokens: int = 512
    query_max_tokens: int | None = None
    ports: PortNames = FIND_OUT
    pooling: Pooling = Pooling.MAX
    activation: Activation = Activation.LOG1P_RELU
    query_mode: QueryMode | None = None
    missing_idf: float = 1.0
    special_tokens: SpecialTokens = SpecialTokens.DROP_ALL
    document_pruning: PruningRule | None = None
    score_activation: ScoreActivation | None = None
    replace: bool = False

    def __post_init__(self) -> None:
        require_name(self.name)


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The bundle that was made, and what a person should know about it."""

    folder: Path
    manifest: Manifest
    warnings: tuple[str, ...] = field(default=())


def import_onnx(model: Path, out: Path, options: ImportOptions) -> ImportReport:
    """Make the bundle `out` from the graph `model`; a bundle that is there already is replaced only if it may be.

    The graph is run on two texts of different length, alone and padded, and on one of `max_tokens` tokens.
    Raises UnsupportedCheckpoint for a graph that no sidecar could serve, InvalidInput for a file that is missing,
    ManifestInvalid for options that do not fit together, ExportError where `out` is taken or can't be written.
    """
    for path, what in ((model, "graph"), (options.tokenizer, "tokenizer"), (options.query_weights, "query weights")):
        if path is not None and not path.is_file():
            raise InvalidInput(f"There is no {what} at {path}.")
    require_place(out, replace=options.replace)
    tokenizer = _load_tokenizer(options.tokenizer)
    weights = _load_query_weights(options.query_weights, tokenizer) if options.query_weights else None
    with appearing(out) as scratch:
        copy_graph(model, scratch / GRAPH)
        found, warnings = _try_out(scratch / GRAPH, tokenizer, options)
        vocabulary_size = _vocabulary_size(found, tokenizer)
        shutil.copyfile(options.tokenizer, scratch / TOKENIZER)
        if weights is not None:
            (scratch / QUERY_WEIGHTS).write_bytes(orjson.dumps(weights, option=orjson.OPT_SORT_KEYS))
        draft = _draft(model, options, found, vocabulary_size, has_query_weights=weights is not None)
        (scratch / CARD).write_text(_card(model, draft), encoding="utf-8")
        manifest = write_bundle(scratch, draft)
    return ImportReport(out, manifest, tuple(warnings))


@dataclass(frozen=True, slots=True)
class _Found:
    ports: GraphPorts
    output: GraphOutput
    two_logits: bool


def _try_out(graph: Path, tokenizer: Tokenizer, options: ImportOptions) -> tuple[_Found, list[str]]:
    session = open_session(graph)
    ids, mask, types = choose_inputs(session, options.ports)
    ports = GraphPorts(input_ids=ids, attention_mask=mask, token_type_ids=types)
    trial = TrialRun(session, ports, _padding_id(tokenizer))
    pair = options.kind is ModelKind.CROSS_ENCODER
    rows = [
        (tokenizer.encode(TRIAL_QUERY, text) if pair else tokenizer.encode(text)).ids[: options.max_tokens]
        for text in TRIAL_TEXTS
    ]
    output = trial.find_output(rows, options.ports, options.kind)
    two_logits = pair and output.width == 2
    if two_logits:
        name = difference_of_two_logits(graph, output.name)
        session = open_session(graph)
        trial = TrialRun(session, ports, trial.padding_id)
        output = GraphOutput(name, output.kind, 1)
    warnings = _check_values(trial, rows, output)
    longest = [(rows[1] * options.max_tokens)[: options.max_tokens]]
    try:
        trial.run(longest, output.name)
    except UnsupportedCheckpoint as error:
        raise UnsupportedCheckpoint(
            f"{error.message} Its texts may be shorter than {options.max_tokens} tokens: set the maximum lower."
        ) from error
    if mask is None:
        warnings.append("The graph has no attention mask: padded batches may change its results.")
    if output.kind == "token_logits":
        warnings.append(
            "The graph gives a logit per token and term, pooled outside it: 8 texts of 512 tokens need "
            f"{8 * 512 * output.width * 4 / 1e6:,.0f} MB. `sidecar models export` from the checkpoint needs a tenth."
        )
    if output.kind in ("weights", "token_logits"):
        surplus = output.width - _terms(tokenizer)
        if surplus > 0:
            warnings.append(f"The graph has {surplus} more terms than the tokenizer: their weights are dropped.")
    final = ports.model_copy(update={"output": output.name, "output_kind": output.kind})
    return _Found(final, output, two_logits), warnings


def _check_values(trial: TrialRun, rows: list[list[int]], output: GraphOutput) -> list[str]:
    warnings: list[str] = []
    together = trial.run(rows, output.name)
    if not np.isfinite(together).all():
        raise UnsupportedCheckpoint(f"The output {output.name!r} has values that are not finite.")
    if output.kind in ("weights", "token_weights"):
        real = together if output.kind == "weights" else together[:, : len(rows[0])]
        if (real < 0).any():
            raise UnsupportedCheckpoint(
                f"The output {output.name!r} has negative weights: these are logits before an activation. "
                "A sidecar needs weights per term, or logits per token and term."
            )
        if not (real > 0).any():
            raise UnsupportedCheckpoint(f"The output {output.name!r} has no weight above zero for an English text.")
        if output.kind == "weights" and (real > 0).mean() > DENSE_SHARE:
            warnings.append(f"{(real > 0).mean():.0%} of the vocabulary gets a weight: that is no sparse encoder.")
    alone = trial.run(rows[:1], output.name)[0]
    padded = together[0]
    if output.kind in ("token_weights", "token_logits"):
        padded = padded[: len(rows[0])]
    largest = float(np.abs(alone).max(initial=0.0))
    shift = float(np.abs(alone - padded).max(initial=0.0))
    if shift > PADDING_TOLERANCE * max(largest, 1e-6):
        warnings.append(
            f"Padding a text changes its result by up to {shift:.3g} (largest value {largest:.3g}): "
            "the graph does not mask it."
        )
    return warnings


def _vocabulary_size(found: _Found, tokenizer: Tokenizer) -> int:
    size = _terms(tokenizer)
    if found.output.kind in ("score_logits", "token_weights"):
        return size
    if found.output.width < size:
        raise UnsupportedCheckpoint(
            f"The graph gives {found.output.width} weights and the tokenizer has {size} tokens: they do not belong "
            "together."
        )
    return found.output.width


def _draft(
    model: Path, options: ImportOptions, found: _Found, vocabulary_size: int, *, has_query_weights: bool
) -> ManifestDraft:
    common = {
        "name": options.name,
        "kind": options.kind,
        "license": options.license,
        "source": options.source or f"imported from {model.name}",
        "base_model": options.base_model,
        "max_tokens": options.max_tokens,
        "query_max_tokens": options.query_max_tokens,
        "vocabulary_size": vocabulary_size,
        "graph": found.ports,
    }
    if options.kind is ModelKind.CROSS_ENCODER:
        usual = ScoreActivation.SIGMOID if found.two_logits else ScoreActivation.IDENTITY
        specific: dict[str, object] = {"score_activation": options.score_activation or usual}
    else:
        mode = options.query_mode or (QueryMode.IDF if has_query_weights else QueryMode.NEURAL)
        own_terms = found.output.kind == "token_weights"
        specific = {
            "pooling": options.pooling,
            "activation": options.activation,
            "expansion": Expansion.OWN_TERMS if own_terms else Expansion.VOCABULARY,
            "query_mode": mode,
            "missing_idf": options.missing_idf if mode is QueryMode.IDF else None,
            "special_tokens": options.special_tokens,
            "document_pruning": options.document_pruning,
        }
    return ManifestDraft.declare({**common, **specific})


def _load_tokenizer(path: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:
        raise UnsupportedCheckpoint(f"{path} is no tokenizer.json: {error}.") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _terms(tokenizer: Tokenizer) -> int:
    """Count term ids from 0 to the largest, gaps included."""
    return 1 + max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)


def _padding_id(tokenizer: Tokenizer) -> int:
    for token in ("[PAD]", "<pad>", "<|endoftext|>"):
        found = tokenizer.token_to_id(token)
        if found is not None:
            return int(found)
    return 0


def read_query_weights(path: Path) -> dict[str, float]:
    """Read a JSON object of token -> weight >= 0; raise InvalidInput for anything else."""
    if not path.is_file():
        raise InvalidInput(f"There are no query weights at {path}.")
    try:
        weights = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"{path} is no JSON: {error}.") from None
    valid = isinstance(weights, dict) and all(
        isinstance(weight, int | float) and not isinstance(weight, bool) and weight >= 0 for weight in weights.values()
    )
    if not valid:
        raise InvalidInput(f"{path} must hold one JSON object: token -> weight >= 0.")
    return {token: float(weight) for token, weight in weights.items()}


def _load_query_weights(path: Path, tokenizer: Tokenizer) -> dict[str, float]:
    weights = read_query_weights(path)
    if not any(tokenizer.token_to_id(token) is not None for token in weights):
        raise InvalidInput(f"None of the tokens in {path} is in the tokenizer's vocabulary.")
    return weights


def _card(model: Path, draft: ManifestDraft) -> str:
    return (
        f"# {draft.name}\n\nA {draft.kind.value} imported from `{model.name}`, as it was: nothing was converted or "
        f"quantised.\n\n- Licence: {draft.license}\n- Source: {draft.source}\n"
        f"- Up to {draft.max_tokens} tokens per text\n"
    )
