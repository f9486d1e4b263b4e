"""What a cross-encoder makes of given lists, as `hybrid+rerank` reads and mixes them, without a cluster."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scripts.starter.variants import ANALYSED, SHIPPED, Variants
from sidecar.bundle import Bundle
from sidecar.evaluation.collection import Collection
from sidecar.evaluation.measures import measure
from sidecar.evaluation.run import Ranked
from sidecar.inference.service import InferenceService
from sidecar.search.fusion import LinearFusion, Scored
from sidecar.search.rerank.interpolate import order_of_head
from sidecar.settings import Settings

CANDIDATES, DEPTH = 200, 50
LEXICAL_SHARE, SPARSE_SHARE, RERANK_SHARE = 0.3, 0.7, 0.5
"""What the built-in profile `hybrid+rerank` has."""


@dataclass(frozen=True, slots=True)
class Head:
    """One query and the first documents of its first stage: their places in the collection, and their scores."""

    query: str
    places: tuple[int, ...]
    scores: tuple[float, ...]


def heads_of(variants: Variants, queries: Sequence[str]) -> list[Head]:
    """The head of `hybrid` for every query, from exact scores of both retrievers."""
    scores = variants.scores()
    lexical, sparse = scores[ANALYSED](), scores[SHIPPED]()
    return [_head(query, lexical[row], sparse[row]) for row, query in enumerate(queries)]


def _head(query: str, lexical: NDArray[np.float32], sparse: NDArray[np.float32]) -> Head:
    fused = LinearFusion().fuse([_ranking(lexical), _ranking(sparse)], [LEXICAL_SHARE, SPARSE_SHARE])[:DEPTH]
    return Head(query, tuple(int(one.id) for one in fused), tuple(one.score for one in fused))


def _ranking(scores: NDArray[np.float32]) -> list[Scored]:
    order = np.argsort(-scores, kind="stable")[:CANDIDATES].tolist()
    return [Scored(str(place), float(scores[place])) for place in order if scores[place] > 0]


def ndcg_of(bundle: Path, collection: Collection, heads: Sequence[Head]) -> float:
    """nDCG@10 of the mixed order of every query's head; documents without text are no candidates."""
    documents = [document for document in collection.documents if collection.text_of(document)]
    service = InferenceService.load([Bundle.open(bundle)], Settings())
    run = {}
    try:
        for query, head in zip(collection.queries, heads, strict=True):
            texts = [collection.text_of(documents[place]) for place in head.places]
            order = asyncio.run(_order(service, head, texts)) if texts else []
            run[query.id] = [Ranked(documents[head.places[at]].id, -float(rank)) for rank, at in enumerate(order)]
    finally:
        service.close()
    return round(measure(run, collection.judgements).means["nDCG@10"], 4)


async def _order(service: InferenceService, head: Head, texts: Sequence[str]) -> list[int]:
    answer = await service.rerank(head.query, texts)
    logits = [0.0] * len(texts)
    for result in answer.results:
        logits[result.index] = result.logit
    return order_of_head(head.scores, logits, RERANK_SHARE)
