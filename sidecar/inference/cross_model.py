"""A served cross-encoder: one query against many documents."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from sidecar.bundle import Bundle
from sidecar.domain import Lane, RankedDocument, Timings, Windows
from sidecar.inference.content_cache import CacheFigures
from sidecar.inference.cross_encoder import PairItems, Scored, ScoreRows, Scores, ranked
from sidecar.inference.deadlines import check_deadline
from sidecar.inference.models import (
    Host,
    Stopwatch,
    load_runners,
    load_tokenizer,
    prepare,
    warm_tokenizer,
    warm_up,
)
from sidecar.inference.rerank_caches import DocumentTokens, PairScores
from sidecar.inference.scheduler import Scheduler

__all__ = ["CrossEncoderModel"]


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A call before inference: each pair's key, the scores that are known, and the pairs that are wanted, by place."""

    keys: list[bytes]
    known: dict[int, Scored]
    wanted: list[int]
    pairs: PairItems


class CrossEncoderModel:
    """One cross-encoder bundle, ready to score."""

    def __init__(self, bundle: Bundle, host: Host) -> None:
        """Load tokenizer and graph; raises BundleCorrupt where they do not fit together."""
        if bundle.manifest.score_activation is None:
            raise AssertionError("The manifest guarantees a cross-encoder's activation. This is a bug.")
        self.bundle = bundle
        self._host = host
        self._activation = bundle.manifest.score_activation
        self._tokenizer = load_tokenizer(bundle, host)
        self._runners = load_runners(bundle, self._tokenizer, host, ScoreRows)
        self._documents = DocumentTokens(self._tokenizer, host.settings.rerank_cache_bytes)
        self._pairs = PairScores(host.settings.rerank_score_cache)
        self._budget = host.settings.max_batch_tokens
        self.scheduler: Scheduler[float] = Scheduler(
            self._runners,
            name=bundle.manifest.name,
            budget=self._budget,
            queue_tokens=host.settings.max_queue_tokens,
        )

    async def rerank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        size: int,
        windows: Windows,
        lane: Lane,
        deadline: float | None,
    ) -> tuple[tuple[RankedDocument, ...], Timings]:
        """Score checked texts of `size` bytes in all. Raises TextTooLong and what `Scheduler.run` raises.

        Documents whose score for this query is remembered are neither tokenised nor run.
        """
        check_deadline(deadline)
        self.scheduler.check_room(lane)
        watch = Stopwatch()

        def work(left: threading.Event) -> _Prepared:
            keys = self._pairs.keys(query, documents, windows)
            known = self._pairs.known(keys)
            wanted = [position for position in range(len(documents)) if position not in known]
            pairs = PairItems(
                self._tokenizer.ids(query),
                self._documents.ids_of_all([documents[position] for position in wanted], left),
                tokenizer=self._tokenizer,
                max_tokens=self.bundle.manifest.max_tokens,
                query_max_tokens=self.bundle.manifest.query_max_tokens,
                windows=windows,
                positions=wanted,
            )
            return _Prepared(keys, known, wanted, pairs)

        prepared = await prepare(work, size=size, host=self._host, deadline=deadline)
        watch.tokenised()
        pairs = prepared.pairs
        scores = Scores(pairs, self._activation)
        waits = await self.scheduler.run(pairs.items, lane=lane, deliver=scores.deliver, deadline=deadline)
        fresh = dict(zip(prepared.wanted, scores.scored(), strict=True))
        self._pairs.remember(prepared.keys, fresh)
        scored = {**prepared.known, **fresh}
        result = ranked([scored[position] for position in range(len(documents))], self._activation)
        return result, watch.timings(waits)

    def caches(self) -> dict[str, CacheFigures]:
        """Return what each cache is at, by name: `documents` counts bytes, `pairs` counts scores."""
        return {"documents": self._documents.figures(), "pairs": self._pairs.figures()}

    def warm_up(self) -> None:
        """Run every length bucket through the graph."""
        warm_tokenizer(self._tokenizer)
        warm_up(
            self._runners, self.scheduler, self._tokenizer, longest=self.bundle.manifest.max_tokens, budget=self._budget
        )

    def close(self, grace: float) -> None:
        self.scheduler.close(grace)
