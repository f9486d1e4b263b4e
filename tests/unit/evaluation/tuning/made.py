"""Lists and scores that no cluster and no reranker need to make."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from sidecar.domain import Candidate, RankedDocument
from sidecar.search import BUILT_IN, Profile
from sidecar.search.candidates import Retrieved
from sidecar.search.identity import DocumentKey, key_of

__all__ = ["PROFILES", "candidates", "profiles", "retrieved", "said"]

NAMES = [f"d{number}" for number in range(12)]


def candidates(scores: Sequence[tuple[str, float]]) -> tuple[Candidate, ...]:
    """Hits in descending order of score, as a cluster has them."""
    ordered = sorted(scores, key=lambda one: (-one[1], one[0]))
    return tuple(Candidate(name, {}, score, index="i") for name, score in ordered)


@st.composite
def retrieved(draw, kinds: Sequence[str] = ("lexical", "sparse")) -> tuple[Retrieved, ...]:
    """A list of each retriever, of some of twelve documents; scores repeat, as those of real clusters do."""
    lists = []
    for kind in kinds:
        names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=len(NAMES)))
        scores = [draw(st.integers(1, 40)) / 4 for _ in names]
        lists.append(Retrieved(kind, 1.0, candidates(list(zip(names, scores, strict=True)))))
    return tuple(lists)


@st.composite
def said(draw, lists: Sequence[Retrieved]) -> dict[DocumentKey, RankedDocument | None]:
    """What a reranker says of every document; some have no text."""
    keys = sorted({key_of(hit) for found in lists for hit in found.hits})
    read: dict[DocumentKey, RankedDocument | None] = {}
    for key in keys:
        logit = draw(st.one_of(st.none(), st.integers(-8, 8)))
        # Sigmoid's values, coarsely: what `calibrated` adds up.
        read[key] = None if logit is None else RankedDocument(0, (logit + 8) / 16, float(logit))
    return read


PROFILES = (
    BUILT_IN["hybrid+rerank"],
    BUILT_IN["hybrid-rrf+rerank"],
    BUILT_IN["sparse+rerank"],
    BUILT_IN["lexical+rerank"],
    BUILT_IN["hybrid"],
    BUILT_IN["sparse"],
    Profile.parse(
        {
            "name": "own",
            "retrievers": [
                {"kind": "lexical", "weight": 2.0, "fields": ["title^3", "text"], "tie_breaker": 0.3},
                {
                    "kind": "sparse",
                    "weight": 5.0,
                    "pruning": {"type": "top_k", "value": 8},
                    "two_phase": {"ratio": 0.3},
                },
            ],
            "fusion": {"normalization": "max"},
            "candidates": 60,
            "rerank": {"depth": 25, "weight": 0.4, "calibrated": True, "stop_early": 2, "cut_off": 0.2},
            "count_hits": True,
        }
    ),
)
profiles = st.sampled_from(PROFILES)
