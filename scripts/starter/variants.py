"""What each ingredient of the sparse encoder is worth: the same documents and queries, scored with and without it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags  # type: ignore[import-untyped,unused-ignore]
from tokenizers import Tokenizer

from scripts.starter.floor import OwnTerms
from scripts.starter.folding import Folding
from scripts.starter.idf import inverse_document_frequencies
from scripts.starter.lexical import LexicalTeacher, english_analyser
from scripts.starter.recipe import FloorRecipe, TeacherRecipe
from scripts.starter.tokens import TokenTable
from scripts.starter.vectors import dot, pruned

LONGEST = 20_000
ANALYSED = "BM25, English stems and stop words"
SHIPPED = "shipped: learned + floor, adapted IDF"


@dataclass(frozen=True, slots=True)
class Model:
    """What belongs to the encoder and not to a collection.

    `idf` and `weights` [columns]: IDF of the broad corpus, and the learned query weights; `floor`: weight of the floor.
    """

    tokenizer: Tokenizer
    folding: Folding
    idf: NDArray[np.float32]
    weights: NDArray[np.float32]
    floor: float
    average_length: float
    ratio: float = 0.1
    share: float = 0.7


class Variants:
    """One collection: texts of documents and queries, and `learned` [documents, columns], the vectors without floor.

    `neural` [queries, columns] are the queries as the encoder itself sees them.
    """

    def __init__(
        self, model: Model, documents: Sequence[str], queries: Sequence[str], learned: csr_matrix, neural: csr_matrix
    ) -> None:
        self._model = model
        self._texts, self._asked = documents, queries
        self._learned, self._neural = learned, neural
        self._documents = OwnTerms.of(TokenTable(documents, model.tokenizer, LONGEST), model.folding)
        asked = OwnTerms.of(TokenTable(queries, model.tokenizer, LONGEST), model.folding)
        self._queries = asked.damped(np.arange(len(queries)))
        self._present = asked.present(np.arange(len(queries)))

    def scores(self) -> Mapping[str, Callable[[], NDArray[np.float32]]]:
        """Scores [queries, documents] by the name of the variant, computed when they are asked for."""
        model = self._model
        adapted = model.weights ** (1 - model.share) * self._own_idf**model.share
        unlearned = model.idf ** (1 - model.share) * self._own_idf**model.share
        learned = pruned(self._learned, model.ratio)
        return {
            ANALYSED: self._analysed,
            "floor alone: BM25 of folded word pieces": lambda: self._product(self._own_idf, self._saturated),
            "learned alone, query weights of the bundle": lambda: self._product(model.weights, learned),
            "learned alone, adapted IDF": lambda: self._product(adapted, learned),
            "learned + floor, query weights of the bundle": lambda: self._product(model.weights, self.vectors),
            SHIPPED: lambda: self._product(adapted, self.vectors),
            "shipped, query weights not learned (IDF)": lambda: self._product(unlearned, self.vectors),
            "shipped, IDF of the collection only": lambda: self._product(self._own_idf, self.vectors),
            "shipped, repeated query words count once": lambda: dot(
                csr_matrix(self._present @ diags(adapted)), self.vectors
            ),
            "shipped, not pruned": lambda: self._product(adapted, self._whole),
            "shipped, documents not folded": lambda: self._product(adapted, self._unfolded),
            "neural queries": lambda: dot(self._neural, self.vectors),
        }

    @cached_property
    def vectors(self) -> csr_matrix:
        """Documents as they are shipped [documents, columns]."""
        return pruned(self._whole, self._model.ratio)

    @property
    def query_terms(self) -> csr_matrix:
        """Queries as they are shipped, weighted by the bundle [queries, columns]."""
        return csr_matrix(self._queries @ diags(self._model.weights))

    @cached_property
    def _whole(self) -> csr_matrix:
        return csr_matrix(self._learned + self._model.floor * self._saturated)

    @cached_property
    def _saturated(self) -> csr_matrix:
        rows = np.arange(len(self._texts))
        return self._documents.saturated(rows, FloorRecipe(), self._model.average_length)

    @cached_property
    def _unfolded(self) -> csr_matrix:
        """The floor counts only tokens that are themselves the term: inflections are left to the encoder."""
        canonical = np.arange(len(self._model.folding.canonical), dtype=np.int32)
        strict = Folding(np.where(self._model.folding.canonical == canonical, canonical, -1).astype(np.int32))
        own = OwnTerms.of(TokenTable(self._texts, self._model.tokenizer, LONGEST), strict)
        floor = own.saturated(np.arange(len(self._texts)), FloorRecipe(), self._model.average_length)
        return pruned(csr_matrix(self._learned + self._model.floor * floor), self._model.ratio)

    @cached_property
    def _own_idf(self) -> NDArray[np.float32]:
        frequencies = np.bincount(self._documents.counts.indices, minlength=len(self._documents.columns))
        return inverse_document_frequencies(np.maximum(frequencies - 1, 0), len(self._texts))

    def _product(self, weights: NDArray[np.float32], documents: csr_matrix) -> NDArray[np.float32]:
        return dot(csr_matrix(self._queries @ diags(weights)), documents)

    def _analysed(self) -> NDArray[np.float32]:
        recipe = TeacherRecipe(k1=1.2, b=0.75)
        lexical = LexicalTeacher.count(self._texts, self._asked, english_analyser(), recipe)
        return lexical.scores(np.arange(len(self._asked)), np.arange(len(self._texts)))


def flops(queries: csr_matrix, documents: csr_matrix) -> float:
    """Mean multiplications per query and document: sum over terms of both activation probabilities (SPLADE)."""
    asked = np.bincount(queries.indices, minlength=queries.shape[1]) / queries.shape[0]
    held = np.bincount(documents.indices, minlength=documents.shape[1]) / documents.shape[0]
    return float((asked * held).sum())
