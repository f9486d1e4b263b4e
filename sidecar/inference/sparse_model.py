"""A served sparse encoder: documents through the graph, queries through the graph or a table."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial

from sidecar.bundle import Bundle
from sidecar.bundle.manifest import QueryMode
from sidecar.domain import Encoding, Lane, Pruning, Side, Timings, Windows
from sidecar.errors import Cancelled, WrongModelKind
from sidecar.inference.buckets import Buckets
from sidecar.inference.calls import Ids, Item, Waits
from sidecar.inference.deadlines import check_deadline
from sidecar.inference.lexical_floor import load_floor
from sidecar.inference.models import (
    Host,
    Stopwatch,
    load_runners,
    load_tokenizer,
    prepare,
    tokenise,
    warm_tokenizer,
    warm_up,
)
from sidecar.inference.query_encoder import TableQueryEncoder
from sidecar.inference.scheduler import Scheduler
from sidecar.inference.sparse_encoder import LOGIT_TOKENS, SparseRows
from sidecar.inference.vectors import Columns, Encodings
from sidecar.inference.windows import Allowance, Cut, cut
from sidecar.inference.workers import Runners

__all__ = ["SparseModel"]


class SparseModel:
    """One sparse-encoder bundle, ready to encode."""

    def __init__(self, bundle: Bundle, host: Host) -> None:
        """Load tokenizer, table and graph; raises BundleCorrupt where they do not fit together."""
        manifest = bundle.manifest
        self.bundle = bundle
        self._host = host
        self._tokenizer = load_tokenizer(bundle, host)
        self._buckets = Buckets(manifest.max_tokens)
        self._table = None if manifest.query_mode is QueryMode.NEURAL else TableQueryEncoder(bundle, self._tokenizer)
        self._floor = load_floor(bundle, self._tokenizer)
        self._runners: Runners[Columns] | None = None
        self.scheduler: Scheduler[Columns] | None = None
        if manifest.graph is not None:
            self._budget = host.settings.max_batch_tokens
            if manifest.graph.output_kind == "token_logits":
                self._budget = min(self._budget, LOGIT_TOKENS)
            self._runners = load_runners(bundle, self._tokenizer, host, partial(SparseRows, bundle, self._tokenizer))
            self.scheduler = Scheduler(
                self._runners,
                name=manifest.name,
                budget=self._budget,
                queue_tokens=host.settings.max_queue_tokens,
            )

    async def encode(
        self,
        texts: Sequence[str],
        *,
        size: int,
        side: Side,
        pruning: Pruning | None,
        windows: Windows,
        lane: Lane,
        return_terms: bool,
        deadline: float | None,
    ) -> tuple[tuple[Encoding, ...], Timings]:
        """Encode checked texts of `size` bytes. Raises TextTooLong, WrongModelKind and what `Scheduler.run` raises."""
        check_deadline(deadline)
        rule = self._rule(side) if pruning is None else pruning
        if side is Side.QUERY and self._table is not None:
            return await self._look_up(texts, size, rule, windows, return_terms, deadline)
        if self.scheduler is None:
            raise WrongModelKind(f"Model {self.bundle.manifest.name} encodes queries only: it has no graph.")
        self.scheduler.check_room(lane)
        watch = Stopwatch()

        floor = self._floor if side is Side.DOCUMENT else None

        def work(left: threading.Event) -> tuple[Encodings, list[Item]]:
            ids = tokenise(self._tokenizer, texts, left)
            cuts, items = self._items(ids, side, windows, left)
            floors = None if floor is None else [floor(own) for own in ids]
            return Encodings(cuts, rule, self._tokenizer.terms if return_terms else None, floors), items

        encodings, items = await prepare(work, size=size, host=self._host, deadline=deadline)
        watch.tokenised()
        waits = await self.scheduler.run(items, lane=lane, deliver=encodings.deliver, deadline=deadline)
        return encodings.result(), watch.timings(waits)

    def warm_up(self) -> None:
        """Run every length bucket through the graph, and one query through the table."""
        warm_tokenizer(self._tokenizer)
        if self._table is not None:
            self._table.encode(self._tokenizer.probe, Pruning(), Windows())
        if self._runners is not None and self.scheduler is not None:
            longest = self._buckets.lengths[-1]
            warm_up(self._runners, self.scheduler, self._tokenizer, longest=longest, budget=self._budget)

    def close(self, grace: float) -> None:
        if self.scheduler is not None:
            self.scheduler.close(grace)

    async def _look_up(
        self,
        texts: Sequence[str],
        size: int,
        rule: Pruning,
        windows: Windows,
        return_terms: bool,
        deadline: float | None,
    ) -> tuple[tuple[Encoding, ...], Timings]:
        """Encode queries by the table: a few at once on the event loop, since a thread's hop would take longer."""
        table = self._table
        if table is None:
            raise AssertionError("Only models with a table look queries up. This is a bug.")
        watch = Stopwatch()

        def work(left: threading.Event) -> tuple[Encoding, ...]:
            encodings: list[Encoding] = []
            for position, text in enumerate(texts):
                if left.is_set():
                    raise Cancelled("The caller left.")
                field = f"texts[{position}]"
                encodings.append(table.encode(text, rule, windows, return_terms=return_terms, field=field))
            return tuple(encodings)

        encodings = await prepare(work, size=size, host=self._host, deadline=deadline)
        watch.tokenised()
        return encodings, watch.timings(Waits())

    def _items(
        self, ids: Sequence[Ids], side: Side, windows: Windows, left: threading.Event
    ) -> tuple[list[Cut], list[Item]]:
        manifest = self.bundle.manifest
        limit = manifest.max_tokens
        if side is Side.QUERY and manifest.query_max_tokens is not None:
            limit = min(limit, manifest.query_max_tokens)
        capacity = limit - self._tokenizer.single_specials
        cuts: list[Cut] = []
        allowance = Allowance()
        for position, own in enumerate(ids):
            cuts.append(cut(len(own), capacity, windows, field=f"texts[{position}]"))
            allowance.take(cuts[-1])
        items: list[Item] = []
        for own, part in zip(ids, cuts, strict=True):
            if left.is_set():
                raise Cancelled("The caller left.")
            for start, end in part.spans:
                framed = self._tokenizer.frame(own[start:end])
                items.append(Item(framed, len(items), self._buckets.of(len(framed)), len(framed)))
        return cuts, items

    def _rule(self, side: Side) -> Pruning:
        manifest = self.bundle.manifest
        rule = manifest.query_pruning if side is Side.QUERY else manifest.document_pruning
        return Pruning() if rule is None else rule.to_domain()
