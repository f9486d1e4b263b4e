"""Runs a cross-encoder's graph on pairs, and keeps the best window of each document (MaxP)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sidecar.bundle.manifest import ScoreActivation
from sidecar.domain import RankedDocument, WindowPolicy, Windows
from sidecar.errors import InferenceFailed, SidecarError, TextTooLong
from sidecar.inference.buckets import Buckets
from sidecar.inference.calls import Ids, Item
from sidecar.inference.sessions import OnnxSession
from sidecar.inference.tokens import TextTokenizer
from sidecar.inference.windows import Allowance, Cut, cut

__all__ = ["PairItems", "ScoreRows", "Scored", "Scores", "ranked", "sigmoid"]


@dataclass(frozen=True, slots=True)
class Scored:
    """What a model said of one document: the largest logit of its windows, and how much of it was read."""

    logit: float
    truncated: bool
    windows: int


class ScoreRows:
    """The scheduler's runner for a cross-encoder. Several threads may call it at once."""

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
        positions: Sequence[int] | None = None,
    ) -> None:
        """`max_tokens` counts the special tokens of a pair; the query gets half of the rest, or `query_max_tokens`.

        `positions` are the documents' places in the call, for errors; None: they are all of it. Raises TextTooLong
        where the policy refuses to cut, InvalidInput where the windows overlap too far.
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
        allowance = Allowance()
        for position, document in zip(positions or range(len(documents)), documents, strict=True):
            part = cut(len(document), room - len(query), windows, field=f"documents[{position}]")
            allowance.take(part, beside=len(query))
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

    def scored(self) -> list[Scored]:
        """Return what was said of each of the pairs' documents, in their order."""
        return [
            Scored(logit, part.truncated or self._pairs.query_cut, max(1, len(part.spans)))
            for logit, part in zip(self._logits, self._pairs.cuts, strict=True)
        ]

    def result(self) -> tuple[RankedDocument, ...]:
        """Return every document by descending logit; see `ranked`."""
        return ranked(self.scored(), self._activation)


def ranked(scored: Sequence[Scored], activation: ScoreActivation) -> tuple[RankedDocument, ...]:
    """Return every document by descending logit, ties by position; the activations keep that order."""
    order = sorted(range(len(scored)), key=lambda position: (-scored[position].logit, position))
    return tuple(_document(position, scored[position], activation) for position in order)


def _document(position: int, scored: Scored, activation: ScoreActivation) -> RankedDocument:
    return RankedDocument(
        index=position,
        score=sigmoid(scored.logit) if activation is ScoreActivation.SIGMOID else scored.logit,
        logit=scored.logit,
        truncated=scored.truncated,
        windows=scored.windows,
    )


def sigmoid(logit: float) -> float:
    """Return 1 / (1 + exp(-logit)) without overflow."""
    if logit >= 0.0:
        return 1.0 / (1.0 + math.exp(-logit))
    power = math.exp(logit)
    return power / (1.0 + power)
