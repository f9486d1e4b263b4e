"""A served cross-encoder: one query against many documents."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from sidecar.bundle import Bundle
from sidecar.domain import Lane, RankedDocument, Timings, Windows
from sidecar.inference.cross_encoder import PairItems, ScoreRows, Scores
from sidecar.inference.deadlines import check_deadline
from sidecar.inference.models import (
    Host,
    Stopwatch,
    load_session,
    load_tokenizer,
    prepare,
    tokenise,
    warm_tokenizer,
    warm_up,
)
from sidecar.inference.scheduler import Scheduler

__all__ = ["CrossEncoderModel"]


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
        self._rows = ScoreRows(load_session(bundle, self._tokenizer, host))
        self._budget = host.settings.max_batch_tokens
        self.scheduler: Scheduler[float] = Scheduler(
            self._rows,
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
        """Score checked texts of `size` bytes in all. Raises TextTooLong and what `Scheduler.run` raises."""
        check_deadline(deadline)
        self.scheduler.check_room(lane)
        watch = Stopwatch()

        def work(left: threading.Event) -> PairItems:
            ids = tokenise(self._tokenizer, (query, *documents), left)
            return PairItems(
                ids[0],
                ids[1:],
                tokenizer=self._tokenizer,
                max_tokens=self.bundle.manifest.max_tokens,
                query_max_tokens=self.bundle.manifest.query_max_tokens,
                windows=windows,
            )

        pairs = await prepare(work, size=size, host=self._host, deadline=deadline)
        watch.tokenised()
        scores = Scores(pairs, self._activation)
        waits = await self.scheduler.run(pairs.items, lane=lane, deliver=scores.deliver, deadline=deadline)
        return scores.result(), watch.timings(waits)

    def warm_up(self) -> None:
        """Run every length bucket through the graph."""
        warm_tokenizer(self._tokenizer)
        warm_up(
            self._rows, self.scheduler, self._tokenizer, longest=self.bundle.manifest.max_tokens, budget=self._budget
        )

    def close(self, grace: float) -> None:
        self.scheduler.close(grace)
