"""From what was asked for once to the ranking of any setting, by the code that searches are made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from sidecar.domain import Candidate, RankedDocument
from sidecar.evaluation.tuning.evidence import Read
from sidecar.evaluation.tuning.settings import FirstStageSetting, RerankSetting
from sidecar.search.candidates import Retrieved, first_stage
from sidecar.search.identity import key_of
from sidecar.search.rerank import Rerank
from sidecar.search.reranking import arranged

__all__ = ["Reading", "first_ranking", "policy_of", "reading", "reranked", "top"]


def first_ranking(lists: Sequence[Retrieved], setting: FirstStageSetting, candidates: int) -> list[Candidate]:
    """Return the first stage's ranking; `candidates` as in a profile."""
    weights = {"lexical": setting.lexical, "sparse": setting.sparse}
    weighted = [replace(one, weight=weights.get(one.retriever, one.weight)) for one in lists]
    return first_stage(weighted, setting.fusion, candidates)


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


def reading(candidates: Sequence[Candidate], read: Read, depth: int) -> Reading:
    """Return the reading of the first `depth` candidates; `read` has each of them."""
    head = candidates[:depth]
    found = [(position, one) for position, candidate in enumerate(head) if (one := read[key_of(candidate)]) is not None]
    return Reading(
        first_stage=tuple(candidate.first_stage_score or 0.0 for candidate in head),
        readable=tuple(position for position, _ in found),
        read=tuple(one for _, one in found),
    )


def reranked(candidates: Sequence[Candidate], head: Reading, policy: Rerank) -> Iterator[Candidate]:
    """Yield the second stage's ranking."""
    order = arranged(policy, head.first_stage, head.readable, head.read, len(candidates))
    return (candidates[position] for position in order)


def top(ranking: Iterable[Candidate], own: str | None, size: int) -> tuple[str, ...]:
    """Return the ids of the first documents; of those that share an id the best one counts, and `own` does not."""
    found: dict[str, None] = {}
    for candidate in ranking:
        if candidate.id != own:
            found[candidate.id] = None
            if len(found) == size:
                break
    return tuple(found)
