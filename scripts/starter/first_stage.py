"""Searching training passages with the finished sparse encoder, as the sidecar would."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, load_npz, save_npz  # type: ignore[import-untyped,unused-ignore]

from scripts.starter.checkpoint import replace_file
from scripts.starter.vectors import dot
from sidecar.bundle import Bundle
from sidecar.domain import WHOLE_TEXT, Side, SparseVector, Windows
from sidecar.inference.service import InferenceService
from sidecar.settings import Settings

BATCH = 32


class FirstStage:
    """Exact dot products of queries with the vectors of `documents`, which are kept in `path`."""

    def __init__(
        self, bundle: Path, path: Path, documents: Sequence[str], progress: Callable[[str], None] = lambda _: None
    ) -> None:
        self._service = InferenceService.load([Bundle.open(bundle)], Settings())
        if not path.exists():
            matrix = asyncio.run(encode(self._service, documents, Side.DOCUMENT, progress))
            with replace_file(path) as partial, partial.open("wb") as target:
                save_npz(target, matrix)
        self._documents = csr_matrix(load_npz(path))

    def scores(self, queries: Sequence[str]) -> NDArray[np.float32]:
        """Scores [queries, documents]."""
        return dot(asyncio.run(encode(self._service, queries, Side.QUERY)), self._documents)

    def close(self) -> None:
        self._service.close()


async def encode(
    service: InferenceService,
    texts: Sequence[str],
    side: Side,
    progress: Callable[[str], None] = lambda _: None,
    model: str | None = None,
) -> csr_matrix:
    """Vectors [texts, terms] of one side; documents are read whole, as they are when they are indexed."""
    windows = WHOLE_TEXT if side is Side.DOCUMENT else Windows()
    vectors: list[SparseVector] = []
    for start in range(0, len(texts), BATCH):
        result = await service.encode(texts[start : start + BATCH], side=side, windows=windows, model=model)
        vectors.extend(encoding.vector for encoding in result.encodings)
        if start % (100 * BATCH) == 0:
            progress(f"encoded {start} of {len(texts)}")
    return matrix_of(vectors)


def matrix_of(vectors: Sequence[SparseVector]) -> csr_matrix:
    """Sparse vectors as the rows of a matrix [vectors, 2 ** 18]."""
    columns = np.asarray([term for vector in vectors for term in vector.term_ids], dtype=np.int64)
    weights = np.asarray([weight for vector in vectors for weight in vector.weights], dtype=np.float32)
    starts = np.cumsum([0, *map(len, vectors)])
    return csr_matrix((weights, columns, starts), shape=(len(vectors), 1 << 18))
