"""The weights of an inference-free query side: a term's weight whenever the query has the term."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from tokenizers import Tokenizer

from sidecar.errors import UnsupportedCheckpoint
from sidecar.export.checkpoint.files import read_json
from sidecar.export.checkpoint.layout import Layout
from sidecar.export.checkpoint.weights import Weights

__all__ = ["checked_query_weights", "read_query_weights", "special_terms"]

IDF = "idf.json"
TOKEN_WEIGHTS = "query_token_weights.txt"


def read_query_weights(root: Path, layout: Layout, tokenizer: Tokenizer) -> dict[str, float] | None:
    """Return term -> weight, or None where the checkpoint has no static query side.

    Read are: sentence-transformers' SparseStaticEmbedding (its JSON file, or its weight vector, zeros included) and the
    `idf.json` or `query_token_weights.txt` (term, tab, weight) that opensearch-project's repositories carry.
    """
    if layout.query is not None:
        named = layout.query_config.get("path") if layout.query_config else None
        if isinstance(named, str) and named.endswith(".json"):
            for candidate in (root / named, layout.query / Path(named).name, root / Path(named).name):
                if candidate.is_file() and candidate.resolve().is_relative_to(root.resolve()):
                    return _from_json(candidate)
            raise UnsupportedCheckpoint(f"{layout.query} takes its weights from {named}, which is not in {root}.")
        return _from_vector(Weights.open(layout.query).need("weight").tolist(), tokenizer)
    if (root / IDF).is_file():
        return _from_json(root / IDF)
    if (root / TOKEN_WEIGHTS).is_file():
        return _from_lines(root / TOKEN_WEIGHTS)
    return None


def checked_query_weights(weights: Mapping[str, float], tokenizer: Tokenizer) -> dict[str, float]:
    """Return the weights in the order of the vocabulary: negative ones as 0, unknown and special terms left out.

    Raises UnsupportedCheckpoint where a weight is no finite number.
    """
    special = special_terms(tokenizer)
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    kept: dict[str, float] = {}
    for term in sorted((term for term in weights if term in vocabulary), key=vocabulary.__getitem__):
        weight = float(weights[term])
        if not math.isfinite(weight):
            raise UnsupportedCheckpoint(f"The query weight of term id {vocabulary[term]} is not finite.")
        if term not in special:
            kept[term] = max(0.0, weight)
    if not any(kept.values()):
        raise UnsupportedCheckpoint("No query weight belongs to a term of the tokenizer's vocabulary.")
    return kept


def special_terms(tokenizer: Tokenizer) -> frozenset[str]:
    """Return the tokenizer's special tokens: [CLS], [SEP], [PAD] and the like."""
    return frozenset(token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special)


def _from_json(path: Path) -> dict[str, float]:
    content = read_json(path)
    if not isinstance(content, dict) or not all(type(weight) in (int, float) for weight in content.values()):
        raise UnsupportedCheckpoint(f"{path} is no object of term: weight.")
    return content


def _from_vector(vector: list[float], tokenizer: Tokenizer) -> dict[str, float]:
    terms = ((tokenizer.id_to_token(index), weight) for index, weight in enumerate(vector))
    return {term: weight for term, weight in terms if term is not None}


def _from_lines(path: Path) -> dict[str, float]:
    weights: dict[str, float] = {}
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UnsupportedCheckpoint(f"{path} can't be read as text: {error}.") from None
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        term, _, weight = line.rpartition("\t")
        try:
            weights[term] = float(weight)
        except ValueError:
            raise UnsupportedCheckpoint(f"{path} line {number} is not: term, tab, weight.") from None
    return weights
