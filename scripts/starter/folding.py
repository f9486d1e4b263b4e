"""One term per English stem: which word pieces are counted as which term, and which are no terms at all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scripts.starter.lexical import FUNCTION_WORDS

CONTINUATION = "##"
# What is left of "it's", "we'll" and "I've" once the apostrophe is gone.
REMNANTS = frozenset({"s", "ll", "ve"})


@dataclass(frozen=True, slots=True)
class Folding:
    """`canonical` [vocabulary]: the term a word piece is counted as, or -1 where it is none.

    Whole words of one stem are one term, named by the most frequent of them: "retrieving" and "retrieved" are counted
    as "retrieval". Continuations ("##ing") stay what they are. Function words, punctuation and special tokens are no
    terms.
    """

    canonical: NDArray[np.int32]

    @property
    def columns(self) -> NDArray[np.int64]:
        """The terms that are left [terms], ascending: the only ones a vector may hold."""
        return np.unique(self.canonical[self.canonical >= 0]).astype(np.int64)

    def terms(self, pieces: NDArray[np.int32]) -> NDArray[np.int32]:
        """The terms of a text's word pieces, in order, repeated as often as they occur."""
        folded = self.canonical[pieces]
        return folded[folded >= 0]

    def named(self, vocabulary: Sequence[str]) -> dict[str, str | None]:
        """`folds.json` of a bundle: token to canonical token where it is folded onto another, to None where it is no
        term. Special and unused tokens ("[CLS]") are left out: no text has them."""
        targets = self.canonical.tolist()
        return {
            vocabulary[piece]: vocabulary[target] if target >= 0 else None
            for piece, target in enumerate(targets)
            if target != piece and not (vocabulary[piece].startswith("[") and len(vocabulary[piece]) > 1)
        }


def fold_by_stem(vocabulary: Mapping[str, int], frequencies: NDArray[np.int64], stem: Callable[[str], str]) -> Folding:
    """Fold the words of a WordPiece vocabulary by `stem`; `frequencies` [vocabulary] decides the canonical ones."""
    canonical = np.full(max(vocabulary.values()) + 1, -1, dtype=np.int32)
    classes: dict[str, list[int]] = {}
    for token, piece in vocabulary.items():
        word = token.removeprefix(CONTINUATION)
        if not word.isalnum() or (word == token and word in FUNCTION_WORDS | REMNANTS):
            continue
        if word != token:
            canonical[piece] = piece
        else:
            classes.setdefault(stem(word), []).append(piece)
    for pieces in classes.values():
        canonical[pieces] = max(sorted(pieces), key=lambda piece: int(frequencies[piece]))
    return Folding(canonical)


def english_folding(vocabulary: Mapping[str, int], frequencies: NDArray[np.int64]) -> Folding:
    """Folding by Snowball's English stemmer."""
    import Stemmer  # type: ignore[import-not-found,unused-ignore]

    stemmer = Stemmer.Stemmer("english")
    return fold_by_stem(vocabulary, frequencies, stemmer.stemWord)
