"""The lexical floor of a document: BM25's saturation of its own terms."""

from __future__ import annotations

import numpy as np

from sidecar.bundle import Bundle
from sidecar.bundle.manifest import LexicalFloor
from sidecar.bundle.names import FOLDS
from sidecar.inference.calls import Ids
from sidecar.inference.folds import Folds
from sidecar.inference.tokens import TextTokenizer
from sidecar.inference.vectors import Columns

__all__ = ["FloorOfTerms", "load_floor"]


class FloorOfTerms:
    """Computes what the manifest's `lexical_floor` says, over the whole text, also where the model reads less of it."""

    def __init__(self, floor: LexicalFloor, folds: Folds | None, tokenizer: TextTokenizer) -> None:
        self._floor = floor
        self._folds = folds
        self._special = np.zeros(len(tokenizer.terms), dtype=np.bool_)
        self._special[[term_id for term_id in tokenizer.special_ids if term_id < self._special.size]] = True

    def __call__(self, ids: Ids) -> Columns:
        """Return the floor of a text's own token ids, shape [tokens]; a text without terms has none."""
        floor = self._floor
        own = ids[~self._special[ids]]
        terms = own if self._folds is None else self._folds.terms(own)
        found, counts = np.unique(terms, return_counts=True)
        norm = np.float32(floor.k1 * (1 - floor.b + floor.b * terms.size / floor.average_length))
        saturated = counts.astype(np.float32) * np.float32(floor.k1 + 1) / (counts.astype(np.float32) + norm)
        return Columns(found.astype(np.int32), np.float32(floor.weight) * saturated)


def load_floor(bundle: Bundle, tokenizer: TextTokenizer) -> FloorOfTerms | None:
    """Return the bundle's floor, None where its manifest names none. Raises BundleCorrupt for a broken folds.json."""
    floor = bundle.manifest.lexical_floor
    if floor is None:
        return None
    return FloorOfTerms(floor, Folds.load(bundle, tokenizer) if bundle.has(FOLDS) else None, tokenizer)
