"""Runs a sparse encoder's graph on batches and reads each row down to its terms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sidecar.bundle import Bundle
from sidecar.bundle.manifest import SpecialTokens
from sidecar.bundle.names import FOLDS
from sidecar.errors import BundleCorrupt, InferenceFailed, SidecarError
from sidecar.inference.calls import Item
from sidecar.inference.folds import Folds
from sidecar.inference.pooling import pool_logits, pool_own_terms
from sidecar.inference.sessions import OnnxSession
from sidecar.inference.tokens import TextTokenizer
from sidecar.inference.vectors import Columns

__all__ = ["LOGIT_TOKENS", "SparseRows"]

LOGIT_TOKENS = 512
"""Padded tokens per batch of a graph that gives [batch, length, vocabulary]: 62 MB of logits at 30,522 terms."""


class SparseRows:
    """The scheduler's runner for a sparse encoder. Several threads may call it at once."""

    def __init__(self, bundle: Bundle, tokenizer: TextTokenizer, session: OnnxSession) -> None:
        manifest = bundle.manifest
        if manifest.graph is None or manifest.pooling is None or manifest.activation is None:
            raise AssertionError("The manifest guarantees a sparse encoder's graph and pooling. This is a bug.")
        self._session = session
        self._kind = manifest.graph.output_kind
        self._pooling = manifest.pooling
        self._activation = manifest.activation
        self._keep = _kept_terms(bundle, tokenizer)
        self._folds = Folds.load(bundle, tokenizer) if bundle.has(FOLDS) else None

    def __call__(self, items: Sequence[Item]) -> list[Columns | SidecarError]:
        """Run a batch: the terms of each item, or InferenceFailed for an item whose output is not finite."""
        output = self._session.run(items)
        return [self._read(item, output[row]) for row, item in enumerate(items)]

    def _read(self, item: Item, row: npt.NDArray[np.float32]) -> Columns | SidecarError:
        length = len(item.ids)
        if self._kind == "token_weights":
            own, weights = pool_own_terms(item.ids, row.reshape(-1)[:length], self._pooling)
            keep = self._keep[own]
        else:
            own, keep = None, self._keep
            weights = (
                pool_logits(row[:length], self._pooling, self._activation) if self._kind == "token_logits" else row
            )
        if not np.isfinite(weights).all():
            return InferenceFailed("The model gave a weight that is no finite number.")
        kept = np.flatnonzero((weights > 0.0) & keep)
        columns = Columns(kept.astype(np.int32) if own is None else own[kept], weights[kept])
        return columns if self._folds is None else self._folds.fold(columns)


def _kept_terms(bundle: Bundle, tokenizer: TextTokenizer) -> npt.NDArray[np.bool_]:
    """Return which term ids may enter a vector: those the tokenizer knows, special ones by the manifest's policy."""
    manifest = bundle.manifest
    if len(tokenizer.terms) > manifest.vocabulary_size:
        raise BundleCorrupt(
            f"tokenizer.json has {len(tokenizer.terms):,} terms and the graph {manifest.vocabulary_size:,}."
        )
    keep = np.zeros(manifest.vocabulary_size, dtype=np.bool_)
    keep[[term_id for term_id, term in enumerate(tokenizer.terms) if term is not None]] = True
    if manifest.special_tokens is SpecialTokens.DROP_ALL:
        keep[sorted(tokenizer.special_ids)] = False
    elif manifest.special_tokens is SpecialTokens.DROP_PAD:
        keep[tokenizer.pad_id] = False
    return keep
