"""Lists and scores that no cluster and no reranker need to make."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import strategies as st

from sidecar.domain import Candidate, RankedDocument
from sidecar.evaluation.tuning.evidence import ScoredList
from sidecar.search import BUILT_IN, Profile
from sidecar.search.candidates import Retrieved
from sidecar.search.identity import DocumentKey, key_of

__all__ = ["PROFILES", "candidates", "made_read", "made_search", "profiles", "retrieved", "said", "scored"]

NAMES = [f"d{number}" for number in range(12)]

DOCUMENTS = 400
DEEP = 230
"""More than a built-in profile fuses."""


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


def scored(lists: Sequence[Retrieved]) -> tuple[ScoredList, ...]:
    """Lists as rankings are made of them."""
    return tuple(map(ScoredList.of, lists))


def made_search(seed: int, idf_share: float) -> tuple[Retrieved, ...]:
    """What a query finds among 400 documents, as long as real lists are; some scores are equal."""
    lists = []
    for kind, salt in (("lexical", 0.0), ("sparse", idf_share)):
        chance = random.Random(f"{seed} {kind} {salt}")
        names = chance.sample([f"d{number}" for number in range(DOCUMENTS)], DEEP)
        lists.append(Retrieved(kind, 1.0, candidates([(name, round(chance.expovariate(0.2), 2)) for name in names])))
    return tuple(lists)


def made_read(seed: int) -> dict[DocumentKey, RankedDocument | None]:
    """What a reranker says of those documents; one in fifty has no text."""
    chance = random.Random(f"{seed} read")
    read: dict[DocumentKey, RankedDocument | None] = {}
    for number in range(DOCUMENTS):
        logit = round(chance.gauss(0.0, 3.0), 3)
        key = (f"d{number}", "i", "")
        read[key] = None if number % 50 == 49 else RankedDocument(0, 1.0 / (1.0 + 2.0**-logit), logit)
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
