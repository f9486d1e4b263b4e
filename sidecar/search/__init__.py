"""Retrieve, fuse, rerank: profiles and the Searcher.

Usage:
    async with await Engine.connect("http://127.0.0.1:9200") as engine, AsyncSidecarClient() as sidecar:
        searcher = AsyncSearcher(engine, sidecar, "hybrid+rerank", index="articles")
        result = await searcher.search("how do wings stall", size=5)
"""

from __future__ import annotations

from sidecar.search.augment import Augmented, Matching
from sidecar.search.blocking import Searcher
from sidecar.search.bodies import Unchanged
from sidecar.search.builtin import BUILT_IN, load_profile
from sidecar.search.degradation import NO_QUERY_TERMS, NO_STORED_VECTORS
from sidecar.search.feedback import Rocchio
from sidecar.search.fusion import LinearFusion, ReciprocalRankFusion
from sidecar.search.lexical import Lexical, MatchType
from sidecar.search.normalization import Normalization
from sidecar.search.paging import NotReranked
from sidecar.search.passages import BestPassage
from sidecar.search.profile import Profile, QueryPruning, Sparse, read_profile
from sidecar.search.rerank import Rerank
from sidecar.search.result import BodyResult, Contribution, SearchHit, SearchResult, StageTimings
from sidecar.search.searcher import AsyncSearcher, Filter

__all__ = [
    "BUILT_IN",
    "NO_QUERY_TERMS",
    "NO_STORED_VECTORS",
    "AsyncSearcher",
    "Augmented",
    "BestPassage",
    "BodyResult",
    "Contribution",
    "Filter",
    "Lexical",
    "LinearFusion",
    "MatchType",
    "Matching",
    "Normalization",
    "NotReranked",
    "Profile",
    "QueryPruning",
    "ReciprocalRankFusion",
    "Rerank",
    "Rocchio",
    "SearchHit",
    "SearchResult",
    "Searcher",
    "Sparse",
    "StageTimings",
    "Unchanged",
    "load_profile",
    "read_profile",
]
