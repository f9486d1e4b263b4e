"""From the retrievers' lists to one first-stage ranking that every page sees alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from sidecar.domain import Candidate
from sidecar.search.fusion import FusionStrategy, Scored
from sidecar.search.identity import DocumentKey, key_of

__all__ = ["Place", "Retrieved", "first_stage", "ranked"]


class Place(NamedTuple):
    """A document of the first-stage ranking, and its score there; None: it lies too deep to be fused."""

    key: DocumentKey
    score: float | None


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What one retriever (`lexical` | `sparse` | `summed`) found, in its order."""

    retriever: str
    weight: float
    hits: tuple[Candidate, ...]

    def scored(self) -> list[Scored[DocumentKey]]:
        """Return what the ranking is made of: each hit's key and score."""
        return [Scored(key_of(hit), hit.score) for hit in self.hits]


def first_stage(lists: Sequence[Retrieved], fusion: FusionStrategy, depth: int) -> list[Candidate]:
    """Return one ranking of everything in `lists`, as `ranked` has it, with the score that each retriever gave."""
    merged = _merge(lists)
    places = ranked([found.scored() for found in lists], [found.weight for found in lists], fusion, depth)
    return [replace(merged[key], first_stage_score=score) for key, score in places]


def ranked(
    lists: Sequence[Sequence[Scored[DocumentKey]]], weights: Sequence[float], fusion: FusionStrategy, depth: int
) -> list[Place]:
    """Return the ranking of everything in `lists`, which are the retrievers', with their `weights`.

    Only the first `depth` hits of each list are fused, however many were fetched: fused scores must not depend on the
    page. What lies deeper follows below, by its best rank in any list, which is the same however deep was fetched.
    One list alone is not fused: its scores are the first stage's.
    """
    if len(lists) == 1:
        return [Place(*hit) for hit in lists[0]]
    head = [Place(*document) for document in fusion.fuse([found[:depth] for found in lists], weights)]
    seen = {place.key for place in head}
    best: dict[DocumentKey, tuple[int, int]] = {}
    for number, found in enumerate(lists):
        for rank, (key, _) in enumerate(found[depth:], start=depth):
            if key not in seen:
                best[key] = min((rank, number), best.get(key, (rank, number)))
    return head + [Place(key, None) for key in sorted(best, key=best.__getitem__)]


def _merge(lists: Sequence[Retrieved]) -> Mapping[DocumentKey, Candidate]:
    """One candidate per document, with the score that each retriever gave it."""
    merged: dict[DocumentKey, Candidate] = {}
    for found in lists:
        for hit in found.hits:
            known = merged.get(key_of(hit), replace(hit, score=0.0))
            if found.retriever == "lexical":
                known = replace(known, lexical_score=hit.score)
            elif found.retriever == "sparse":
                known = replace(known, sparse_score=hit.score)
            merged[key_of(hit)] = known
    return merged
