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

__all__ = ["Head", "Reranked", "Reranker"]

MAX_CHARACTERS = 16_384
"""More of a document than any cross-encoder's window holds is not sent."""


@dataclass(frozen=True, slots=True)
class Head:
    """A document of the head: where it stood, its fields, and its first-stage score.

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


class Reranker:
    """Applies a profile's reranking."""

    def __init__(self, sidecar: Sidecar, policy: Rerank) -> None:
        self._sidecar = sidecar
        self._policy = policy

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
        readable = [number for number, text in enumerate(texts) if text]
        silent = [head[number].position for number, text in enumerate(texts) if not text]
        rest = [*silent, *range(len(head), length)]
        if not readable:
            return Reranked(tuple(range(length)) if self._policy.cut_off is None else (), {})
        first_stage = [head[number].first_stage_score for number in readable]
        try:
            read = await self._read(
                query, [texts[number] for number in readable], first_stage, Deadline(timeout), page or length
            )
        except (UnknownModel, WrongModelKind):
            raise
        except SidecarError as error:
            return degraded_by("rerank", error)
        if self._policy.calibrated and not all(_is_probability(one) for one in read):
            raise ProfileInvalid(
                "The reranker's scores are no probabilities: take `calibrated` out of the profile, or another model.",
                field="rerank.calibrated",
            )
        order = self._policy.apply(
            [*(head[number].position for number in readable), *rest],
            first_stage,
            [one.logit for one in read],
            [one.score for one in read],
        )
        scores = {head[number].position: one.score for number, one in zip(readable, read, strict=False)}
        return Reranked(tuple(order), scores)

    async def _read(
        self, query: str, texts: Sequence[str], first_stage: Sequence[float], deadline: Deadline, page: int
    ) -> list[RankedDocument]:
        """Return the scores of `texts`, or of as many of the first ones as the policy needs."""
        step = self._policy.stop_early or len(texts)
        found: list[RankedDocument] = []
        fingerprint: str | None = None
        while not found or not self._policy.is_settled(first_stage, [one.score for one in found], page):
            answer = await self._ask(query, texts[len(found) : len(found) + step], deadline)
            if fingerprint not in (None, answer.fingerprint):
                # Another model answers now, and scores of two don't compare.
                return _in_order(await self._ask(query, texts, deadline))
            fingerprint = answer.fingerprint
            found.extend(_in_order(answer))
        return found

    async def _ask(self, query: str, texts: Sequence[str], deadline: Deadline) -> RerankResult:
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


def _in_order(answer: RerankResult) -> list[RankedDocument]:
    """Return the answer's documents as they were sent."""
    return sorted(answer.results, key=lambda one: one.index)


def _is_probability(one: RankedDocument) -> bool:
    """A model without an activation gives its logits as scores."""
    sigmoid = 1.0 / (1.0 + math.exp(-one.logit)) if one.logit > -700.0 else 0.0
    return math.isclose(one.score, sigmoid, abs_tol=1e-3)
