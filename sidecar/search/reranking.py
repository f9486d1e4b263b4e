"""The second stage: a cross-encoder reads the query with each of the first documents."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sidecar.domain import Document, RankedDocument, RerankResult, Windows
from sidecar.errors import ProfileInvalid, SidecarError, UnknownModel, WrongModelKind
from sidecar.search.degradation import Deadline, Degraded, degraded_by, within
from sidecar.search.ports import Sidecar
from sidecar.search.rerank import Rerank
from sidecar.search.text import well_formed
from sidecar.search.tracing import traced_stage

__all__ = ["Head", "Reranked", "Reranker", "arranged", "in_order"]

MAX_CHARACTERS = 16_384
"""More of a document than any cross-encoder's window holds is not sent."""


@dataclass(frozen=True, slots=True)
class Head:
    """A document of the head: where it stood (from 0, none left out), its fields, and its first-stage score.

    `passage` is read in the place of the fields, where it is known which part of a long document is the best one.
    """

    position: int
    source: Mapping[str, object]
    first_stage_score: float
    passage: str | None = None

    def text(self, fields: tuple[str, ...]) -> str:
        """Return what is read of the document."""
        whole = Document("", self.source).text(fields) if self.passage is None else self.passage
        # One document with half a character in it must not cost the others their places.
        return well_formed(whole[:MAX_CHARACTERS])


@dataclass(frozen=True, slots=True)
class Reranked:
    """The new order of all positions (head and tail), and the scores of those that were read."""

    order: tuple[int, ...]
    scores: Mapping[int, float]


def arranged(
    policy: Rerank,
    first_stage: Sequence[float],
    readable: Sequence[int],
    read: Sequence[RankedDocument],
    length: int,
) -> tuple[int, ...]:
    """Return the new order of `length` positions, of which `first_stage` has the scores of the head.

    `readable` are the positions of the head whose documents have text, `read` what the reranker says of them, or of
    the first of them where reading stopped early. Documents without text stay right below those that have one.
    """
    if not readable:
        return tuple(range(length)) if policy.cut_off is None else ()
    known = set(readable)
    silent = [position for position in range(len(first_stage)) if position not in known]
    return tuple(
        policy.apply(
            [*readable, *silent, *range(len(first_stage), length)],
            [first_stage[position] for position in readable],
            [one.logit for one in read],
            [one.score for one in read],
        )
    )


class Reranker:
    """Applies a profile's reranking."""

    def __init__(self, sidecar: Sidecar, policy: Rerank) -> None:
        self._sidecar = sidecar
        self._policy = policy

    @traced_stage("rerank")
    async def rerank(
        self,
        query: str,
        head: Sequence[Head],
        length: int,
        fields: tuple[str, ...],
        timeout: float,
        *,
        page: int | None = None,
    ) -> Reranked | Degraded:
        """Reorder `length` positions, of which `head` lists the first. Documents without text stay right below.

        `page`: only so many of the first positions are looked at, so that a policy may stop early; None: all.

        Raises UnknownModel, WrongModelKind and ProfileInvalid (a `calibrated` policy on a reranker whose scores are no
        probabilities), which are the operator's to mend; all else is a degradation.
        """
        texts = [entry.text(fields) for entry in head]
        first_stage = [entry.first_stage_score for entry in head]
        readable = [position for position, text in enumerate(texts) if text]
        if not readable:
            return Reranked(arranged(self._policy, first_stage, readable, (), length), {})
        try:
            read = await self._read(
                query,
                [texts[position] for position in readable],
                [first_stage[position] for position in readable],
                Deadline(timeout),
                page or length,
            )
        except (UnknownModel, WrongModelKind):
            raise
        except SidecarError as error:
            return degraded_by("rerank", error)
        self.check(read)
        scores = {position: one.score for position, one in zip(readable, read, strict=False)}
        return Reranked(arranged(self._policy, first_stage, readable, read, length), scores)

    async def _read(
        self, query: str, texts: Sequence[str], first_stage: Sequence[float], deadline: Deadline, page: int
    ) -> list[RankedDocument]:
        """Return the scores of `texts`, or of as many of the first ones as the policy needs."""
        step = self._policy.stop_early or len(texts)
        found: list[RankedDocument] = []
        fingerprint: str | None = None
        while not found or not self._policy.is_settled(first_stage, [one.score for one in found], page):
            answer = await self.ask(query, texts[len(found) : len(found) + step], deadline)
            if fingerprint not in (None, answer.fingerprint):
                # Another model answers now, and scores of two don't compare.
                return in_order(await self.ask(query, texts, deadline))
            fingerprint = answer.fingerprint
            found.extend(in_order(answer))
        return found

    def check(self, read: Sequence[RankedDocument]) -> None:
        """Raise ProfileInvalid where the policy is `calibrated` and the reranker's scores are no probabilities."""
        if self._policy.calibrated and not all(_is_probability(one) for one in read):
            raise ProfileInvalid(
                "The reranker's scores are no probabilities: take `calibrated` out of the profile, or another model.",
                field="rerank.calibrated",
            )

    async def ask(self, query: str, texts: Sequence[str], deadline: Deadline) -> RerankResult:
        """Return the scores of all texts, as the policy has them read; raises what the sidecar raises."""
        seconds = deadline.left()
        return await within(
            seconds,
            self._sidecar.rerank(
                query,
                texts,
                model=self._policy.model,
                windows=Windows(self._policy.windows, max_windows=self._policy.max_windows),
                timeout=seconds,
            ),
        )


def in_order(answer: RerankResult) -> list[RankedDocument]:
    """Return the answer's documents as they were sent."""
    return sorted(answer.results, key=lambda one: one.index)


def _is_probability(one: RankedDocument) -> bool:
    """A model without an activation gives its logits as scores."""
    sigmoid = 1.0 / (1.0 + math.exp(-one.logit)) if one.logit > -700.0 else 0.0
    return math.isclose(one.score, sigmoid, abs_tol=1e-3)
