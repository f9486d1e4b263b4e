"""Query weights of the inference-free encoder before training: IDF counted on a broad corpus."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix  # type: ignore[import-untyped,unused-ignore]
from tokenizers import Tokenizer

from scripts.starter.checkpoint import replace_file
from scripts.starter.folding import Folding

CHUNK = 4096
LONGEST = 510


@dataclass(frozen=True, slots=True)
class Frequencies:
    """In how many of `documents` texts each word piece occurs: `presence` [texts, vocabulary] is 0 or 1."""

    presence: csr_matrix

    @property
    def documents(self) -> int:
        return int(self.presence.shape[0])

    @property
    def tokens(self) -> NDArray[np.int64]:
        """Document frequency of each word piece [vocabulary]."""
        return np.bincount(self.presence.indices, minlength=self.presence.shape[1])

    def terms(self, folding: Folding) -> NDArray[np.int64]:
        """Document frequency of each of the folding's terms [columns]: a text that has two word pieces of one term
        counts once."""
        columns = folding.columns
        folded = folding.canonical[self.presence.indices]
        owners = np.repeat(np.arange(self.documents, dtype=np.int64), np.diff(self.presence.indptr))
        kept = folded >= 0
        places = np.searchsorted(columns, folded[kept])
        distinct = np.unique(owners[kept] * len(columns) + places)
        return np.bincount(distinct % len(columns), minlength=len(columns))

    @classmethod
    def count(cls, texts: Iterable[str], tokenizer: Tokenizer) -> "Frequencies":
        """Tokenise all texts, the first LONGEST word pieces of each."""
        rows: list[NDArray[np.int32]] = []
        for chunk in _chunks(iter(texts), CHUNK):
            for encoding in tokenizer.encode_batch_fast(chunk, add_special_tokens=False):
                rows.append(np.unique(np.asarray(encoding.ids[:LONGEST], dtype=np.int32)))
        starts = np.cumsum([0, *map(len, rows)])
        columns = np.concatenate(rows)
        ones = np.ones(len(columns), dtype=np.int8)
        return cls(csr_matrix((ones, columns, starts), shape=(len(rows), tokenizer.get_vocab_size())))

    @classmethod
    def kept(cls, path: Path, count: Callable[[], "Frequencies"]) -> "Frequencies":
        """What `count` gave on an earlier run, from `path`."""
        if not path.exists():
            fresh = count().presence
            with replace_file(path) as partial, partial.open("wb") as target:
                np.savez(target, columns=fresh.indices, starts=fresh.indptr, vocabulary=fresh.shape[1])
        with np.load(path) as kept:
            columns, starts, vocabulary = kept["columns"], kept["starts"], int(kept["vocabulary"])
        ones = np.ones(len(columns), dtype=np.int8)
        return cls(csr_matrix((ones, columns, starts), shape=(len(starts) - 1, vocabulary)))


def _chunks(texts: Iterator[str], size: int) -> Iterator[list[str]]:
    while chunk := list(islice(texts, size)):
        yield chunk


def inverse_document_frequencies(frequencies: NDArray[np.int64], documents: int) -> NDArray[np.float32]:
    """BM25's IDF, log(1 + (N - df + 0.5) / (df + 0.5)), with one more occurrence of everything [terms].

    It is near 0 for what stands in every text and never negative; a term that no passage holds counts as if
    one did, so that an unknown rare term weighs much, but no more than a known one.
    """
    smoothed = np.minimum(frequencies + 1, documents)
    return np.log1p((documents - smoothed + 0.5) / (smoothed + 0.5)).astype(np.float32)
