"""Lists of candidates for the cross-encoder: what both halves of the teacher rank high, and lexical traps."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scripts.starter.checkpoint import replace_file
from scripts.starter.teacher import Teacher, standardise

ENSEMBLE, TRAPS = 48, 16
CHUNK = 128


@dataclass(frozen=True, slots=True)
class Candidates:
    """For `queries` [Q]: the ensemble's first documents [Q, ENSEMBLE] and BM25's [Q, TRAPS], the label left out."""

    queries: NDArray[np.int64]
    ensemble: NDArray[np.int64]
    traps: NDArray[np.int64]


def mine(
    path: Path,
    teacher: Teacher,
    queries: NDArray[np.int64],
    allowed: NDArray[np.bool_],
    progress: Callable[[str], None],
) -> Candidates:
    """Candidates of each query among the `allowed` documents, computed once and kept in `path`."""
    if not path.exists():
        documents = np.flatnonzero(allowed)
        lists = []
        for start in range(0, len(queries), CHUNK):
            lists.append(_chunk(teacher, queries[start : start + CHUNK], documents))
            if start % (16 * CHUNK) == 0:
                progress(f"candidates: query {start} of {len(queries)}")
        with replace_file(path) as partial, partial.open("wb") as target:
            ensemble, traps = (np.concatenate(part) for part in zip(*lists, strict=True))
            np.savez(target, queries=queries, ensemble=ensemble, traps=traps)
    with np.load(path) as kept:
        return Candidates(kept["queries"], kept["ensemble"], kept["traps"])


def _chunk(
    teacher: Teacher, queries: NDArray[np.int64], documents: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    dense = teacher.query_vectors[queries] @ teacher.document_vectors[documents].T
    lexical = teacher.lexical.scores(queries, documents)
    own = teacher.labels[queries][:, None] == documents[None, :]
    both = standardise(dense, 0.05) + 0.6 * standardise(lexical, 0.5)
    found = []
    for scores, count in ((both, ENSEMBLE), (lexical, TRAPS)):
        scores[own] = -np.inf
        best = np.argpartition(-scores, count, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
        found.append(documents[np.take_along_axis(best, order, axis=1)])
    return found[0], found[1]


def draw(
    candidates: Candidates, row: int, label: int, count: int, documents: NDArray[np.int64], random: np.random.Generator
) -> NDArray[np.int64]:
    """One training list [count]: the label first, then near misses, a trap, and one document drawn blindly."""
    near = random.permutation(candidates.ensemble[row, :10])[: (count - 3) // 2]
    far = random.permutation(candidates.ensemble[row, 10:])[: count - 3 - len(near)]
    trap = candidates.traps[row, random.integers(TRAPS)]
    blind = documents[random.integers(len(documents))]
    unique = dict.fromkeys([label, *near.tolist(), int(trap), int(blind), *far.tolist()])
    spare = (int(document) for document in candidates.ensemble[row] if int(document) not in unique)
    drawn = list(unique)
    while len(drawn) < count:
        drawn.append(next(spare))
    return np.asarray(drawn, dtype=np.int64)
