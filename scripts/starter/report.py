"""What finished bundles reach on test collections: sparse alone, beside BM25, and reranked."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix  # type: ignore[import-untyped,unused-ignore]

from scripts.starter.lexical import LexicalTeacher, english_analyser
from scripts.starter.recipe import TeacherRecipe
from scripts.starter.vectors import dot
from sidecar.bundle import Bundle
from sidecar.domain import Side, SparseVector
from sidecar.evaluation.collection import Collection, read_collection
from sidecar.evaluation.measures import measure
from sidecar.evaluation.run import Ranked
from sidecar.inference.service import InferenceService
from sidecar.search.normalization import Normalization, normalize
from sidecar.settings import Settings

FUSED = 100
BATCH = 32

Scores = Mapping[int, float]
"""Score by position of the document: one query's ranking."""


@dataclass(frozen=True, slots=True)
class Figures:
    """nDCG@10 of each way of ranking, and the mean number of terms of a document."""

    bm25: float
    sparse: float
    hybrid: float
    bm25_reranked: float
    hybrid_reranked: float
    terms: float


def report(
    bundles: Sequence[Path],
    collections: Sequence[tuple[Path, str]],
    progress: Callable[[str], None],
    *,
    depth: int = 50,
    share: float = 0.3,
    queries: int | None = None,
) -> dict[str, dict[str, float]]:
    """Figures by "collection/split". Reranking: `share` of the cross-encoder's min-max score over `depth` candidates.

    `queries` takes only that many queries of each collection, for quick looks.
    """
    service = InferenceService.load([Bundle.open(folder) for folder in bundles], Settings())
    found = {}
    try:
        for folder, split in collections:
            figures = asyncio.run(_measure(service, read_collection(folder, split), depth, share, queries))
            found[f"{folder.name}/{split}"] = {name: round(value, 4) for name, value in asdict(figures).items()}
            progress(f"{folder.name}/{split}: {found[f'{folder.name}/{split}']}")
    finally:
        service.close()
    return found


async def _measure(
    service: InferenceService, collection: Collection, depth: int, share: float, limit: int | None
) -> Figures:
    documents = [document for document in collection.documents if collection.text_of(document)]
    texts = [collection.text_of(document) for document in documents]
    queries = collection.queries[:limit]
    vectors = await _encode(service, texts, Side.DOCUMENT)
    asked = await _encode(service, [query.text for query in queries], Side.QUERY)
    learned = [_best(row) for row in dot(_matrix(asked), _matrix(vectors))]
    lexical = [_best(row) for row in _bm25(texts, [query.text for query in queries])]
    hybrid = [_added((_scaled(one), 1.0), (_scaled(other), 1.0)) for one, other in zip(lexical, learned, strict=True)]
    judged = {query.id: collection.judgements[query.id] for query in queries}

    def ndcg(rankings: Sequence[Scores]) -> float:
        run = {
            query.id: [Ranked(documents[position].id, score) for position, score in _ordered(ranking)]
            for query, ranking in zip(queries, rankings, strict=True)
        }
        return measure(run, judged).means["nDCG@10"]

    async def reranked(rankings: Sequence[Scores]) -> list[Scores]:
        return [
            await _rerank(service, query.text, ranking, texts, depth, share)
            for query, ranking in zip(queries, rankings, strict=True)
        ]

    return Figures(
        bm25=ndcg(lexical),
        sparse=ndcg(learned),
        hybrid=ndcg(hybrid),
        bm25_reranked=ndcg(await reranked(lexical)),
        hybrid_reranked=ndcg(await reranked(hybrid)),
        terms=float(np.mean([len(vector) for vector in vectors])),
    )


async def _encode(service: InferenceService, texts: Sequence[str], side: Side) -> list[SparseVector]:
    vectors: list[SparseVector] = []
    for start in range(0, len(texts), BATCH):
        result = await service.encode(texts[start : start + BATCH], side=side)
        vectors.extend(encoding.vector for encoding in result.encodings)
    return vectors


async def _rerank(
    service: InferenceService, query: str, ranking: Scores, texts: Sequence[str], depth: int, share: float
) -> Scores:
    head = [position for position, _ in _ordered(ranking)[:depth]]
    if not head:
        return ranking
    result = await service.rerank(query, [texts[position] for position in head])
    logits = {head[one.index]: one.logit for one in result.results}
    first = {position: ranking[position] for position in head}
    return _added((_scaled(first), 1 - share), (_scaled(logits), share))


def _bm25(documents: Sequence[str], queries: Sequence[str]) -> NDArray[np.float32]:
    teacher = LexicalTeacher.count(documents, queries, english_analyser(), TeacherRecipe(k1=1.2, b=0.75))
    return teacher.scores(np.arange(len(queries)), np.arange(len(documents)))


def _matrix(vectors: Sequence[SparseVector]) -> csr_matrix:
    columns = np.asarray([term for vector in vectors for term in vector.term_ids], dtype=np.int64)
    weights = np.asarray([weight for vector in vectors for weight in vector.weights], dtype=np.float32)
    starts = np.cumsum([0, *map(len, vectors)])
    return csr_matrix((weights, columns, starts), shape=(len(vectors), 1 << 18))


def _best(row: NDArray[np.float32]) -> Scores:
    order = np.argsort(-row, kind="stable")[:FUSED]
    return {int(position): float(row[position]) for position in order if row[position] > 0}


def _ordered(ranking: Scores) -> list[tuple[int, float]]:
    return sorted(ranking.items(), key=lambda one: (-one[1], one[0]))


def _scaled(ranking: Scores) -> Scores:
    return dict(zip(ranking, normalize(list(ranking.values()), Normalization.MIN_MAX), strict=True))


def _added(*rankings: tuple[Scores, float]) -> Scores:
    total: dict[int, float] = {}
    for ranking, weight in rankings:
        for position, score in ranking.items():
            total[position] = total.get(position, 0.0) + weight * score
    return total
