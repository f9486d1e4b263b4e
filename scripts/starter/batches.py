"""Training batches as a pure function of (seed, step): that is what makes a run resumable."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scripts.starter.corpus import Corpus
from scripts.starter.recipe import SparseRecipe
from scripts.starter.teacher import Teacher

# The widest neighbourhood that one half of a batch is drawn from.
WIDEST = 1500


@dataclass(frozen=True, slots=True)
class Batch:
    """Indexes of the documents [D] and queries [Q] whose scores [Q, D] are distilled in one step."""

    documents: NDArray[np.int64]
    queries: NDArray[np.int64]


class Batcher:
    """Batches of neighbours: documents around two topics, with queries asked about them and about those topics.

    Neighbours are hard negatives for free, and queries cost nothing where encoding them is a table lookup.
    """

    def __init__(self, corpus: Corpus, teacher: Teacher, lengths: NDArray[np.int64], recipe: SparseRecipe) -> None:
        self._recipe = recipe
        held_out = np.asarray([row.held_out for row in corpus.documents])
        self._pools = [
            _Pool(rows, teacher.document_vectors[rows])
            for rows in (np.flatnonzero(~held_out), np.flatnonzero(~held_out & (lengths >= recipe.max_tokens)))
        ]
        owners = np.asarray([row.document for row in corpus.queries])
        wanted = np.asarray([recipe.generated_queries or query.kind == "asked" for query in corpus.queries])
        trained = np.flatnonzero(~held_out[owners] & wanted)
        self._queries = _Pool(trained, teacher.query_vectors[trained])
        self._asked: dict[int, list[int]] = {}
        for index in trained:
            if corpus.queries[index].kind == "asked":
                self._asked.setdefault(int(owners[index]), []).append(int(index))

    def batch(self, step: int, documents: int, queries: int, *, long: bool = False) -> Batch:
        """The batch of a step; `long` takes only documents that fill a long window."""
        random = np.random.default_rng([self._recipe.seed, step])
        pool = self._pools[long and len(self._pools[1].rows) >= documents]
        chosen: list[int] = []
        close: list[int] = []
        for share in (documents // 2, documents - documents // 2):
            topic = pool.vectors[random.integers(len(pool.rows))]
            # From near-duplicates to a loose field: the difficulty varies from step to step.
            reach = round(math.exp(random.uniform(math.log(share), math.log(max(share + 1, WIDEST)))))
            if not self._recipe.neighbours:
                reach = len(self._queries.rows)
            candidates = [row for row in pool.nearest(topic, reach + len(chosen)) if row not in chosen]
            chosen.extend(random.permutation(candidates)[:share].tolist())
            near = self._queries.nearest(topic, max(queries, 2 * reach))
            close.extend(random.permutation(near)[: queries // 2].tolist())
        own = [int(random.choice(self._asked[row])) for row in chosen if row in self._asked]
        unique = list(dict.fromkeys(own + close))[:queries]
        return Batch(np.asarray(chosen, dtype=np.int64), np.asarray(unique, dtype=np.int64))


@dataclass(frozen=True, slots=True)
class _Pool:
    """Indexes [N] with their unit vectors [N, hidden]."""

    rows: NDArray[np.int64]
    vectors: NDArray[np.float32]

    def nearest(self, vector: NDArray[np.float32], count: int) -> list[int]:
        """The `count` indexes with the largest dot products, in no order."""
        count = min(count, len(self.rows))
        found = np.argpartition(-(self.vectors @ vector), count - 1)[:count]
        return [int(row) for row in self.rows[np.sort(found)]]
