"""What finished bundles reach on test collections: sparse alone, beside BM25, and reranked."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, load_npz, save_npz  # type: ignore[import-untyped,unused-ignore]

from scripts.starter.checkpoint import replace_file
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
class Reranking:
    """The cross-encoder's `share` of the min-max scores over the first `depth` candidates."""

    depth: int = 20
    share: float = 0.5


def report(
    bundles: Sequence[Path],
    collections: Sequence[tuple[Path, str]],
    cache: Path,
    progress: Callable[[str], None],
    reranking: Reranking | None = None,
    shares: Sequence[float] = (),
) -> dict[str, dict[str, float]]:
    """nDCG@10 by "collection/split", and the mean number of terms of a document.

    Document vectors are kept in `cache` under the encoder's fingerprint. Reranked figures only with `reranking`, and
    more of them for other `shares`.
    """
    service = InferenceService.load([Bundle.open(folder) for folder in bundles], Settings())
    found = {}
    try:
        for folder, split in collections:
            measured = _Measured(service, read_collection(folder, split), cache)
            name = f"{folder.name}/{split}"
            found[name] = asyncio.run(measured.figures(reranking, shares))
            progress(f"{name}: {found[name]}")
    finally:
        service.close()
    return found


class _Measured:
    """One collection and what the bundles make of it."""

    def __init__(self, service: InferenceService, collection: Collection, cache: Path) -> None:
        self._service, self._collection, self._cache = service, collection, cache
        self._documents = [document for document in collection.documents if collection.text_of(document)]
        self._texts = [collection.text_of(document) for document in self._documents]
        self._queries = [query.text for query in collection.queries]

    async def figures(self, reranking: Reranking | None, shares: Sequence[float]) -> dict[str, float]:
        vectors = await self._document_vectors()
        asked = _matrix(await _encode(self._service, self._queries, Side.QUERY))
        learned = [_best(row) for row in dot(asked, vectors)]
        lexical = [_best(row) for row in _bm25(self._texts, self._queries)]
        pairs = list(zip(lexical, learned, strict=True))
        hybrid = [_added((_scaled(one), 1.0), (_scaled(other), 1.0)) for one, other in pairs]
        first = {"bm25": lexical, "sparse": learned, "hybrid": hybrid}
        found = {name: self._ndcg(rankings) for name, rankings in first.items()}
        found["terms"] = round(vectors.nnz / vectors.shape[0], 1)
        if reranking is not None:
            stages = {name: first[name] for name in ("bm25", "hybrid")}
            logits = await self._logits(list(stages.values()), reranking.depth)
            for share in (reranking.share, *shares):
                for name, rankings in stages.items():
                    mixed = [
                        _reranked(ranking, scores, reranking.depth, share)
                        for ranking, scores in zip(rankings, logits, strict=True)
                    ]
                    label = f"{name}_reranked" if share == reranking.share else f"{name}_reranked_{share}"
                    found[label] = self._ndcg(mixed)
        return found

    async def _document_vectors(self) -> csr_matrix:
        fingerprint = self._service.models()[0].fingerprint
        path = self._cache / f"{self._collection.name}.{fingerprint[:16]}.npz"
        if not path.exists():
            matrix = _matrix(await _encode(self._service, self._texts, Side.DOCUMENT))
            with replace_file(path) as partial, partial.open("wb") as target:
                save_npz(target, matrix)
        return csr_matrix(load_npz(path))

    async def _logits(self, stages: Sequence[Sequence[Scores]], depth: int) -> list[Scores]:
        """The cross-encoder's logit of whatever any stage has among its first `depth`."""
        found: list[Scores] = []
        for query, *rankings in zip(self._queries, *stages, strict=True):
            wanted = sorted({position for ranking in rankings for position, _ in _ordered(ranking)[:depth]})
            if not wanted:
                found.append({})
                continue
            result = await self._service.rerank(query, [self._texts[position] for position in wanted])
            found.append({wanted[one.index]: one.logit for one in result.results})
        return found

    def _ndcg(self, rankings: Sequence[Scores]) -> float:
        run = {
            query.id: [Ranked(self._documents[position].id, score) for position, score in _ordered(ranking)]
            for query, ranking in zip(self._collection.queries, rankings, strict=True)
        }
        return round(measure(run, self._collection.judgements).means["nDCG@10"], 4)


async def _encode(service: InferenceService, texts: Sequence[str], side: Side) -> list[SparseVector]:
    vectors: list[SparseVector] = []
    for start in range(0, len(texts), BATCH):
        result = await service.encode(texts[start : start + BATCH], side=side)
        vectors.extend(encoding.vector for encoding in result.encodings)
    return vectors


def _reranked(ranking: Scores, logits: Scores, depth: int, share: float) -> Scores:
    first = dict(_ordered(ranking)[:depth])
    second = {position: logits[position] for position in first}
    return _added((_scaled(first), 1 - share), (_scaled(second), share))


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
