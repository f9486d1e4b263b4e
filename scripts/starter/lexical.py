"""The lexical half of the teacher: BM25 over English stems, as sparse matrices."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, load_npz, save_npz  # type: ignore[import-untyped,unused-ignore]

from scripts.starter.checkpoint import replace_file
from scripts.starter.recipe import TeacherRecipe

Analyse = Callable[[str], list[str]]

_WORD = re.compile(r"[^\W_]+")

# Articles, pronouns, auxiliaries, prepositions and question words: what an English analyser drops, and what a
# question adds without saying what it is about.
FUNCTION_WORDS = frozenset(
    """a about above after again all also am an and any are as at be because been before being below between both but by
    can could did do does doing during each few for from further had has have having he her here hers him his how i
    if in into is it its itself just me more most my no nor not of off on once only or other our out over own same
    she should so some such than that the their them then there these they this those through to too under until up
    very was we were what when where which while who whom why will with would you your""".split()  # noqa: SIM905
)


def english_analyser() -> Analyse:
    """Lower-cased words without function words, stemmed by Snowball's English stemmer."""
    import Stemmer  # type: ignore[import-not-found,unused-ignore]

    stemmer = Stemmer.Stemmer("english")

    def analyse(text: str) -> list[str]:
        words = [word for word in _WORD.findall(text.lower()) if word not in FUNCTION_WORDS]
        return list(stemmer.stemWords(words))

    return analyse


class LexicalTeacher:
    """BM25 scores of any (queries, documents) block: queries @ documents.T.

    `documents` [D, terms] holds saturated term weights times IDF, `queries` [Q, terms] term counts.
    """

    def __init__(self, documents: csr_matrix, queries: csr_matrix) -> None:
        self.documents, self.queries = documents, queries

    @classmethod
    def count(cls, documents: Sequence[str], queries: Sequence[str], analyse: Analyse, recipe: TeacherRecipe) -> Self:
        """Count the statistics on `documents`."""
        vocabulary: dict[str, int] = {}
        counts = _count(map(analyse, documents), vocabulary, grow=True)
        frequency = np.bincount(counts.indices, minlength=len(vocabulary))
        inverse = np.log1p((len(documents) - frequency + 0.5) / (frequency + 0.5))
        lengths = np.asarray(counts.sum(axis=1)).ravel()
        norm = recipe.k1 * (1 - recipe.b + recipe.b * lengths / max(lengths.mean(), math.ulp(1.0)))
        saturated = counts.data * (recipe.k1 + 1) / (counts.data + np.repeat(norm, np.diff(counts.indptr)))
        weights = (saturated * inverse[counts.indices]).astype(np.float32)
        saturated_weights = csr_matrix((weights, counts.indices, counts.indptr), shape=counts.shape)
        return cls(saturated_weights, _count(map(analyse, queries), vocabulary, grow=False))

    @classmethod
    def kept(cls, folder: Path, count: Callable[[], "LexicalTeacher"]) -> "LexicalTeacher":
        """What `count` gave on an earlier run, from `folder`."""
        paths = [folder / f"bm25.{side}.npz" for side in ("documents", "queries")]
        if not all(path.exists() for path in paths):
            fresh = count()
            for path, matrix in zip(paths, (fresh.documents, fresh.queries), strict=True):
                with replace_file(path) as partial, partial.open("wb") as target:
                    save_npz(target, matrix)
        return cls(*(csr_matrix(load_npz(path)) for path in paths))

    def scores(self, queries: NDArray[np.int64], documents: NDArray[np.int64]) -> NDArray[np.float32]:
        """BM25 [len(queries), len(documents)]."""
        block = self.queries[queries] @ self.documents[documents].T
        return np.asarray(block.todense(), dtype=np.float32)


def _count(texts: Iterable[list[str]], vocabulary: dict[str, int], *, grow: bool) -> csr_matrix:
    columns: list[int] = []
    values: list[int] = []
    starts = [0]
    for words in texts:
        if grow:
            for word in words:
                vocabulary.setdefault(word, len(vocabulary))
        known = Counter(vocabulary[word] for word in words if word in vocabulary)
        columns.extend(known.keys())
        values.extend(known.values())
        starts.append(len(columns))
    return csr_matrix(
        (np.asarray(values, dtype=np.float32), np.asarray(columns, dtype=np.int32), np.asarray(starts, dtype=np.int64)),
        shape=(len(starts) - 1, len(vocabulary)),
    )
