"""Lists of candidates for the cross-encoder: what the sparse encoder's own first stage finds, and lexical traps."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scripts.starter.checkpoint import replace_file

NEAR, TRAPS = 48, 16
CHUNK = 128

Scores = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""Scores [queries, documents] of some queries for all documents of the pool."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """For `queries` [Q]: the first stage's first documents [Q, NEAR] and BM25's [Q, TRAPS], the label left out.

    `documents` [D] is the pool that was searched, `lexical_rank` [Q] the label's rank in BM25, from 1.
    """

    queries: NDArray[np.int64]
    documents: NDArray[np.int64]
    near: NDArray[np.int64]
    traps: NDArray[np.int64]
    lexical_rank: NDArray[np.int64]

    def hardest_first(self, count: int, random: np.random.Generator) -> "Candidates":
        """`count` queries: first those whose label BM25 does not put first, then others, each drawn at random."""
        order = random.permutation(len(self.queries))
        order = order[np.argsort(self.lexical_rank[order] == 1, kind="stable")][:count]
        return Candidates(
            self.queries[order], self.documents, self.near[order], self.traps[order], self.lexical_rank[order]
        )


def mine(
    path: Path,
    queries: NDArray[np.int64],
    documents: NDArray[np.int64],
    labels: NDArray[np.int64],
    first_stage: Scores,
    lexical: Scores,
    progress: Callable[[str], None],
) -> Candidates:
    """Candidates of each query among `documents`, computed once and kept in `path`; `labels` [Q] are among them."""
    if not path.exists():
        parts = []
        for start in range(0, len(queries), CHUNK):
            rows = queries[start : start + CHUNK]
            parts.append(_chunk(first_stage(rows), lexical(rows), documents, labels[start : start + CHUNK]))
            if start % (16 * CHUNK) == 0:
                progress(f"candidates: query {start} of {len(queries)}")
        near, traps, rank = (np.concatenate(part) for part in zip(*parts, strict=True))
        with replace_file(path) as partial, partial.open("wb") as target:
            np.savez(target, queries=queries, documents=documents, near=near, traps=traps, lexical_rank=rank)
    with np.load(path) as kept:
        return Candidates(kept["queries"], kept["documents"], kept["near"], kept["traps"], kept["lexical_rank"])


def _chunk(
    near: NDArray[np.float32], lexical: NDArray[np.float32], documents: NDArray[np.int64], labels: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    own = labels[:, None] == documents[None, :]
    rank = 1 + (lexical > lexical[own][:, None]).sum(axis=1)
    found = []
    for scores, count in ((near, NEAR), (lexical, TRAPS)):
        scores = np.where(own, -np.inf, scores)
        count = min(count, len(documents) - 1)
        best = np.argpartition(-scores, count, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
        found.append(documents[np.take_along_axis(best, order, axis=1)])
    return found[0], found[1], rank


def draw(candidates: Candidates, row: int, label: int, count: int, random: np.random.Generator) -> NDArray[np.int64]:
    """One training list [count]: the label first, then near misses, a trap, and one document drawn blindly."""
    near = random.permutation(candidates.near[row, :10])[: (count - 3) // 2]
    far = random.permutation(candidates.near[row, 10:])[: count - 3 - len(near)]
    trap = candidates.traps[row, random.integers(candidates.traps.shape[1])]
    blind = candidates.documents[random.integers(len(candidates.documents))]
    unique = dict.fromkeys([label, *near.tolist(), int(trap), int(blind), *far.tolist()])
    spare = (int(document) for document in candidates.near[row] if int(document) not in unique)
    drawn = list(unique)
    while len(drawn) < count:
        drawn.append(next(spare))
    return np.asarray(drawn, dtype=np.int64)
