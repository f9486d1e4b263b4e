"""Runs a cross-encoder's graph on pairs, and keeps the best window of each document (MaxP)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sidecar.bundle.manifest import ScoreActivation
from sidecar.domain import RankedDocument, WindowPolicy, Windows
from sidecar.errors import InferenceFailed, SidecarError, TextTooLong
from sidecar.inference.buckets import Buckets
from sidecar.inference.calls import Ids, Item
from sidecar.inference.sessions import OnnxSession
from sidecar.inference.tokens import TextTokenizer
from sidecar.inference.windows import Cut, cut

__all__ = ["PairItems", "ScoreRows", "Scores", "sigmoid"]


class ScoreRows:
    """The scheduler's runner for a cross-encoder."""

    def __init__(self, session: OnnxSession) -> None:
        self._session = session

    def __call__(self, items: Sequence[Item]) -> list[float | SidecarError]:
        """Run a batch: the logit of each item, or InferenceFailed for an item whose logit is not finite."""
        logits = self._session.run(items).reshape(len(items))
        failure = InferenceFailed("The model gave a score that is no finite number.")
        return [float(logit) if np.isfinite(logit) else failure for logit in logits]


class PairItems:
    """One query's pairs: the query whole, or its head where it is longer than its share, each document windowed."""

    def __init__(
        self,
        query: Ids,
        documents: Sequence[Ids],
        *,
        tokenizer: TextTokenizer,
        max_tokens: int,
        query_max_tokens: int | None,
        windows: Windows,
    ) -> None:
        """`max_tokens` counts the special tokens of a pair; the query gets half of the rest, or `query_max_tokens`.

        Raises TextTooLong where the policy refuses to cut.
        """
        room = max_tokens - tokenizer.pair_specials
        share = max(1, min(room // 2, query_max_tokens or room))
        if len(query) > share and windows.policy is WindowPolicy.REFUSE:
            raise TextTooLong(
                f"query has {len(query):,} tokens and the model reads {share:,} of a query.", field="query"
            )
        self.query_cut = len(query) > share
        query = query[:share]
        buckets = Buckets(max_tokens)
        self.items: list[Item] = []
        self.cuts: list[Cut] = []
        for position, document in enumerate(documents):
            part = cut(len(document), room - len(query), windows, field=f"documents[{position}]")
            self.cuts.append(part)
            for start, end in part.spans or ((0, 0),):
                ids, second = tokenizer.frame_pair(query, document[start:end])
                self.items.append(Item(ids, slot=len(self.items), tokens=buckets.of(len(ids)), second=second))


class Scores:
    """Collects one call's logits: the largest of a document's windows counts."""

    def __init__(self, pairs: PairItems, activation: ScoreActivation) -> None:
        self._pairs = pairs
        self._activation = activation
        self._owners = [position for position, part in enumerate(pairs.cuts) for _ in part.spans or (None,)]
        self._logits = [-math.inf] * len(pairs.cuts)

    def deliver(self, slot: int, logit: float) -> None:
        """Take the logit of the call's `slot`-th pair."""
        position = self._owners[slot]
        self._logits[position] = max(self._logits[position], logit)

    def result(self) -> tuple[RankedDocument, ...]:
        """Return every document by descending logit, ties by index; the activations keep that order."""
        order = sorted(range(len(self._logits)), key=lambda position: (-self._logits[position], position))
        return tuple(self._document(position) for position in order)

    def _document(self, position: int) -> RankedDocument:
        logit = self._logits[position]
        part = self._pairs.cuts[position]
        return RankedDocument(
            index=position,
            score=sigmoid(logit) if self._activation is ScoreActivation.SIGMOID else logit,
            logit=logit,
            truncated=part.truncated or self._pairs.query_cut,
            windows=max(1, len(part.spans)),
        )


def sigmoid(logit: float) -> float:
    """Return 1 / (1 + exp(-logit)) without overflow."""
    if logit >= 0.0:
        return 1.0 / (1.0 + math.exp(-logit))
    power = math.exp(logit)
    return power / (1.0 + power)
