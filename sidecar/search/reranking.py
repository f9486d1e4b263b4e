"""The second stage: a cross-encoder reads the query with each of the first documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sidecar.domain import Document, Windows
from sidecar.errors import SidecarError, UnknownModel, WrongModelKind
from sidecar.search.degradation import Degraded, degraded_by, within
from sidecar.search.ports import Sidecar
from sidecar.search.rerank import Rerank

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
        return whole[:MAX_CHARACTERS]


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
        self, query: str, head: Sequence[Head], length: int, fields: tuple[str, ...], timeout: float
    ) -> Reranked | Degraded:
        """Reorder `length` positions, of which `head` lists the first. Documents without text stay right below.

        Raises UnknownModel and WrongModelKind, which are the operator's to mend; all else is a degradation.
        """
        texts = [entry.text(fields) for entry in head]
        read = [number for number, text in enumerate(texts) if text]
        silent = [head[number].position for number, text in enumerate(texts) if not text]
        rest = [*silent, *range(len(head), length)]
        if not read:
            return Reranked(tuple(range(length)), {})
        try:
            answer = await within(
                timeout,
                self._sidecar.rerank(
                    query,
                    [texts[number] for number in read],
                    model=self._policy.model,
                    windows=Windows(self._policy.windows, max_windows=self._policy.max_windows),
                    timeout=timeout,
                ),
            )
        except (UnknownModel, WrongModelKind):
            raise
        except SidecarError as error:
            return degraded_by("rerank", error)
        by_number = {read[result.index]: result for result in answer.results}
        order = self._policy.apply(
            [*(head[number].position for number in read), *rest],
            [head[number].first_stage_score for number in read],
            [by_number[number].logit for number in read],
            [by_number[number].score for number in read],
        )
        return Reranked(tuple(order), {head[number].position: result.score for number, result in by_number.items()})
