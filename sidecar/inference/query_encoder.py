"""Queries without inference: a text's own tokens, each with a weight from a table, or 1."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import orjson

from sidecar.bundle import Bundle
from sidecar.bundle.manifest import QueryMode, QueryTermFrequency
from sidecar.bundle.names import FOLDS, QUERY_WEIGHTS
from sidecar.domain import Encoding, Pruning, SparseVector, Windows
from sidecar.errors import BundleCorrupt
from sidecar.inference.folds import Folds
from sidecar.inference.tokens import TextTokenizer
from sidecar.inference.vectors import Columns, to_vector
from sidecar.inference.windows import cut

__all__ = ["TableQueryEncoder", "load_query_weights"]


class TableQueryEncoder:
    """Inference-free queries, `idf` or `binary`; special tokens never enter.

    Presence decides, or where the bundle says so the square root of how often the query has a term.

    Where the bundle folds its vocabulary, a token counts as the term it is folded onto.
    """

    def __init__(self, bundle: Bundle, tokenizer: TextTokenizer) -> None:
        manifest = bundle.manifest
        self._tokenizer = tokenizer
        self._capacity = (manifest.query_max_tokens or manifest.max_tokens) - tokenizer.single_specials
        size = len(tokenizer.terms)
        if manifest.query_mode is QueryMode.IDF:
            self._weights = load_query_weights(bundle, tokenizer)
        else:
            self._weights = np.ones(size, dtype=np.float32)
        self._weights[[term_id for term_id in tokenizer.special_ids if term_id < size]] = 0.0
        self._folds = Folds.load(bundle, tokenizer) if bundle.has(FOLDS) else None
        self._counts = manifest.query_term_frequency is QueryTermFrequency.SQUARE_ROOT

    def encode(
        self, text: str, rule: Pruning, windows: Windows, *, return_terms: bool = False, field: str = "texts[0]"
    ) -> Encoding:
        """Encode one query; terms whose weight is not above 0 are left out. Raises TextTooLong."""
        ids = self._tokenizer.ids(text)
        part = cut(len(ids), self._capacity, windows, field=field)
        read = ids[: part.tokens]
        terms = read if self._folds is None else self._folds.terms(read)
        distinct, counts = np.unique(terms, return_counts=True)
        weights = self._weights[distinct]
        kept = weights > 0.0
        if not kept.any():
            return Encoding(SparseVector(), part.truncated, len(part.spans), part.tokens)
        distinct, weights = distinct[kept], weights[kept]
        repeated = self._counts and bool((counts[kept] > 1).any())
        if repeated:
            factors = np.sqrt(counts[kept], dtype=np.float32)
            weights = weights * factors
        vector = to_vector(Columns(distinct, weights), rule, self._tokenizer.terms if return_terms else None)
        repetition: tuple[float, ...] = ()
        if repeated:
            repetition = tuple(factors[np.searchsorted(distinct, vector.term_ids)].tolist())
        return Encoding(vector, part.truncated, len(part.spans), part.tokens, repetition)


def load_query_weights(bundle: Bundle, tokenizer: TextTokenizer) -> npt.NDArray[np.float32]:
    """Read `query_weights.json` into an array by term id; a term it lacks gets the manifest's `missing_idf`.

    Raises BundleCorrupt where it is no object of finite numbers.
    """
    try:
        table = orjson.loads(bundle.file(QUERY_WEIGHTS).read_bytes())
    except orjson.JSONDecodeError:
        raise BundleCorrupt(f"{QUERY_WEIGHTS} is no JSON.") from None
    if not isinstance(table, dict):
        raise BundleCorrupt(f"{QUERY_WEIGHTS} is no object of token and weight.")
    weights = np.full(len(tokenizer.terms), bundle.manifest.missing_idf or 0.0, dtype=np.float32)
    for term, weight in table.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
            raise BundleCorrupt(f"{QUERY_WEIGHTS} has a weight that is no finite number.")
        term_id = tokenizer.id_of(term)
        if term_id is not None:
            weights[term_id] = weight
    return weights
