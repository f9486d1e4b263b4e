"""The lexical floor: BM25's saturation of a text's own terms, which the encoder learns to add to."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix  # type: ignore[import-untyped,unused-ignore]

from scripts.starter.folding import Folding
from scripts.starter.recipe import FloorRecipe
from scripts.starter.tokens import TokenTable


@dataclass(frozen=True, slots=True)
class OwnTerms:
    """Terms of many texts: `counts` [texts, columns], `lengths` [texts] in terms, `columns` [columns] their ids."""

    counts: csr_matrix
    lengths: NDArray[np.float32]
    columns: NDArray[np.int64]

    @classmethod
    def of(cls, tokens: TokenTable, folding: Folding) -> "OwnTerms":
        """Count the terms of all texts."""
        columns = folding.columns
        folded = folding.canonical[tokens.flat]
        owners = np.repeat(np.arange(len(tokens)), tokens.lengths)[folded >= 0]
        places = np.searchsorted(columns, folded[folded >= 0])
        ones = np.ones(len(places), dtype=np.float32)
        # The constructor adds up what occurs more than once.
        counts = csr_matrix((ones, (owners, places)), shape=(len(tokens), len(columns)))
        return cls(counts, np.asarray(counts.sum(axis=1), dtype=np.float32).ravel(), columns)

    @property
    def average_length(self) -> float:
        """Mean number of terms of a text."""
        return float(self.lengths.mean())

    def present(self, rows: NDArray[np.int64]) -> csr_matrix:
        """1 where a text has a term [rows, columns]."""
        found = csr_matrix(self.counts[rows])
        found.data = np.ones_like(found.data)
        return found

    def damped(self, rows: NDArray[np.int64]) -> csr_matrix:
        """Square roots of how often a text has each term [rows, columns]: what a query weighs its terms by."""
        found = csr_matrix(self.counts[rows])
        found.data = np.sqrt(found.data)
        return found

    def saturated(self, rows: NDArray[np.int64], recipe: FloorRecipe, average_length: float) -> csr_matrix:
        """tf (k1 + 1) / (tf + k1 (1 - b + b length / average)) [rows, columns] (Robertson & Zaragoza 2009)."""
        found = csr_matrix(self.counts[rows])
        norm = recipe.k1 * (1 - recipe.b + recipe.b * self.lengths[rows] / average_length)
        repeated = np.repeat(norm, np.diff(found.indptr)).astype(np.float32)
        found.data = found.data * (recipe.k1 + 1) / (found.data + repeated)
        return found
