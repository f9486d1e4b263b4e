"""Query weights of the inference-free encoder before training: IDF counted on the training passages."""

import numpy as np
from numpy.typing import NDArray

from scripts.starter.tokens import TokenTable


def document_frequencies(tokens: TokenTable, vocabulary_size: int) -> NDArray[np.int64]:
    """In how many texts each word piece occurs [vocabulary]."""
    owners = np.repeat(np.arange(len(tokens), dtype=np.int64), tokens.lengths)
    pairs = np.unique(owners * vocabulary_size + tokens.flat)
    return np.bincount(pairs % vocabulary_size, minlength=vocabulary_size)


def inverse_document_frequencies(frequencies: NDArray[np.int64], documents: int) -> NDArray[np.float32]:
    """BM25's IDF, log(1 + (N - df + 0.5) / (df + 0.5)), with one more occurrence of everything [vocabulary].

    It is near 0 for what stands in every text and never negative; a word piece that no passage holds counts as if
    one did, so that an unknown rare term weighs much, but no more than a known one.
    """
    smoothed = np.minimum(frequencies + 1, documents)
    return np.log1p((documents - smoothed + 0.5) / (smoothed + 0.5)).astype(np.float32)
