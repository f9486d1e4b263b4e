"""A folded vocabulary: tokens that count as one term, and tokens that are no terms."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import orjson

from sidecar.bundle import Bundle
from sidecar.bundle.names import FOLDS
from sidecar.errors import BundleCorrupt
from sidecar.inference.calls import Ids
from sidecar.inference.tokens import TextTokenizer
from sidecar.inference.vectors import Columns

__all__ = ["Folds"]

NO_TERM = -1


class Folds:
    """`folds.json` of a bundle: token -> the token it counts as, or null where it is no term.

    Tokens that the file does not name stand for themselves. Inflections of one word share a term that way, and
    function words cost no posting.
    """

    def __init__(self, canonical: npt.NDArray[np.int32]) -> None:
        """`canonical` [vocabulary]: the term id a token counts as, or NO_TERM."""
        self._canonical = canonical

    @classmethod
    def load(cls, bundle: Bundle, tokenizer: TextTokenizer) -> Folds:
        """Read the file; raises BundleCorrupt where it is no such object or folds onto a token that is folded."""
        try:
            table = orjson.loads(bundle.file(FOLDS).read_bytes())
        except orjson.JSONDecodeError:
            raise BundleCorrupt(f"{FOLDS} is no JSON.") from None
        if not isinstance(table, dict):
            raise BundleCorrupt(f"{FOLDS} is no object of token and token.")
        canonical = np.arange(len(tokenizer.terms), dtype=np.int32)
        for token, target in table.items():
            source = tokenizer.id_of(token)
            term = NO_TERM if target is None else tokenizer.id_of(target) if isinstance(target, str) else None
            if source is None or term is None:
                raise BundleCorrupt(f"{FOLDS} names a token that the vocabulary lacks.")
            canonical[source] = term
        targets = np.unique(canonical[canonical != NO_TERM])
        if (canonical[targets] != targets).any():
            raise BundleCorrupt(f"{FOLDS} folds a token onto one that is folded itself.")
        return cls(canonical)

    def terms(self, ids: Ids) -> Ids:
        """Return the terms of a text's tokens, in order and as often as they occur, shape [terms]."""
        folded: Ids = self._canonical[ids]
        terms: Ids = folded[folded != NO_TERM]
        return terms

    def fold(self, columns: Columns) -> Columns:
        """Fold a vector: a term gets the largest weight of its tokens."""
        folded = self._canonical[columns.ids]
        if np.array_equal(folded, columns.ids):
            return columns
        kept = folded != NO_TERM
        ids, inverse = np.unique(folded[kept], return_inverse=True)
        weights = np.zeros(ids.size, dtype=np.float32)
        np.maximum.at(weights, inverse, columns.weights[kept])
        return Columns(ids, weights)
