"""From what was asked for once to the ranking of any setting, by the code that searches are made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sidecar.domain import RankedDocument
from sidecar.evaluation.tuning.evidence import Read, ScoredList
from sidecar.evaluation.tuning.settings import FirstStageSetting, RerankSetting
from sidecar.search.candidates import Place, ranked
from sidecar.search.rerank import Rerank
from sidecar.search.reranking import arranged

__all__ = ["Reading", "first_ranking", "policy_of", "reading", "reranked", "top"]


def first_ranking(lists: Sequence[ScoredList], setting: FirstStageSetting, candidates: int) -> list[Place]:
    """Return the first stage's ranking; `candidates` as in a profile."""
    own = {"lexical": setting.lexical, "sparse": setting.sparse}
    weights = [own.get(one.retriever, one.weight) for one in lists]
    return ranked([one.hits for one in lists], weights, setting.fusion, candidates)


def policy_of(policy: Rerank, setting: RerankSetting) -> Rerank:
    """Return the policy with a setting's values; the whole head is read, which changes no page that is asked for."""
    return policy.model_copy(update={"depth": setting.depth, "weight": setting.weight, "stop_early": None})


@dataclass(frozen=True, slots=True)
class Reading:
    """What the reranker says of the first documents of one ranking, and how they stood before.

    `readable` are the positions of those that have text, `read` what is said of them.
    """

    first_stage: tuple[float, ...]
    readable: tuple[int, ...]
    read: tuple[RankedDocument, ...]


def reading(ranking: Sequence[Place], read: Read, depth: int) -> Reading:
    """Return the reading of the first `depth` documents; `read` has each of them."""
    head = ranking[:depth]
    found = [(position, one) for position, place in enumerate(head) if (one := read[place.key]) is not None]
    return Reading(
        first_stage=tuple(place.score or 0.0 for place in head),
        readable=tuple(position for position, _ in found),
        read=tuple(one for _, one in found),
    )


def reranked(ranking: Sequence[Place], head: Reading, policy: Rerank) -> Iterator[Place]:
    """Yield the second stage's ranking."""
    order = arranged(policy, head.first_stage, head.readable, head.read, len(ranking))
    return (ranking[position] for position in order)


def top(ranking: Iterable[Place], own: str | None, size: int) -> tuple[str, ...]:
    """Return the ids of the first documents; of those that share an id the best one counts, and `own` does not."""
    found: dict[str, None] = {}
    for (name, _, _), _ in ranking:
        if name != own:
            found[name] = None
            if len(found) == size:
                break
    return tuple(found)
