"""From the retrievers' lists to one first-stage ranking that every page sees alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sidecar.domain import Candidate
from sidecar.search.fusion import FusionStrategy, Scored
from sidecar.search.identity import DocumentKey, key_of

__all__ = ["Retrieved", "first_stage"]


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What one retriever (`lexical` | `sparse` | `summed`) found, in its order."""

    retriever: str
    weight: float
    hits: tuple[Candidate, ...]


def first_stage(lists: Sequence[Retrieved], fusion: FusionStrategy, depth: int) -> list[Candidate]:
    """Return one ranking of everything in `lists`.

    Only the first `depth` hits of each list are fused, however many were fetched: fused scores must not depend on the
    page. What lies deeper follows below, by its best rank in any list, which is the same however deep was fetched.
    One list alone is not fused: its scores are the first stage's.
    """
    merged = _merge(lists)
    if len(lists) == 1:
        return [replace(merged[key_of(hit)], first_stage_score=hit.score) for hit in lists[0].hits]
    heads = [[Scored(key_of(hit), hit.score) for hit in found.hits[:depth]] for found in lists]
    fused = fusion.fuse(heads, [found.weight for found in lists])
    head = [replace(merged[document.id], first_stage_score=document.score) for document in fused]
    seen = {key_of(candidate) for candidate in head}
    best: dict[DocumentKey, tuple[int, int]] = {}
    for number, found in enumerate(lists):
        for rank, hit in enumerate(found.hits[depth:], start=depth):
            key = key_of(hit)
            if key not in seen:
                best[key] = min((rank, number), best.get(key, (rank, number)))
    return head + [merged[key] for key in sorted(best, key=best.__getitem__)]


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
