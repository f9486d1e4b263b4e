"""Tokenising with a bundle's tokenizer.json, configured once: no truncation, no padding, never changed per request.

A tokenizer whose truncation or padding is changed while another thread encodes fails with "Already borrowed"
(huggingface/tokenizers issue 537), so cutting and padding are done here, on the ids.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Encoding, Tokenizer

from sidecar.errors import BundleCorrupt, InferenceFailed
from sidecar.inference.calls import Ids

__all__ = ["TextTokenizer"]

CHUNK_TEXTS = 64
CHUNK_CHARACTERS = 1 << 20
"""Texts tokenised at once: their encodings hold offsets and strings, some hundred bytes a token."""

SHORT_CHARACTERS = 2_048
"""A text of more characters is tokenised as a batch of one: alone, it would keep every other thread of the process
waiting until it is done, a megabyte for seconds. The library holds Python's lock there, and in batches it does not."""


class TextTokenizer:
    """Text to ids and back, and the special tokens that a model wants around them."""

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        """Load `tokenizer.json`; raises BundleCorrupt where it can't be read.

        `threads` bounds the tokenizer library's own pool, which the first tokenizer that encodes in this process
        sizes for good.
        """
        os.environ.setdefault("RAYON_NUM_THREADS", str(threads))
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:
            raise BundleCorrupt(f"{path.name} is no tokenizer that can be read: {type(error).__name__}.") from None
        self.pad_id: int = _pad_id(self._tokenizer)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        vocabulary = self._tokenizer.get_vocab(with_added_tokens=True)
        size = 1 + max(vocabulary.values(), default=-1)
        terms: list[str | None] = [None] * size
        for term, term_id in vocabulary.items():
            terms[term_id] = term
        self.terms: tuple[str | None, ...] = tuple(terms)
        """The vocabulary's strings by id; None where the numbering has a gap."""
        self.special_ids: frozenset[int] = frozenset(
            term_id for term_id, token in self._tokenizer.get_added_tokens_decoder().items() if token.special
        )
        self.probe: str = self._probe()
        """A text that has tokens in this vocabulary."""
        self._single = _Frame.of(self._tokenizer.encode(self.probe))
        self._pair = _Frame.of(self._tokenizer.encode(self.probe, self.probe))

    @property
    def single_specials(self) -> int:
        """How many special tokens go around one text."""
        return self._single.specials

    @property
    def pair_specials(self) -> int:
        """How many special tokens go around a pair of texts."""
        return self._pair.specials

    def id_of(self, term: str) -> int | None:
        found: int | None = self._tokenizer.token_to_id(term)
        return found

    def ids(self, text: str) -> Ids:
        """Return the text's own ids, no special tokens added, shape [tokens].

        Raises InferenceFailed where the tokenizer does not know what to do, as one without an unknown token.
        """
        with _failing_as_inference():
            if len(text) <= SHORT_CHARACTERS:
                encoding = self._tokenizer.encode(text, add_special_tokens=False)
            else:
                (encoding,) = self._tokenizer.encode_batch_fast([text], add_special_tokens=False)
            return np.asarray(encoding.ids, dtype=np.int32)

    def ids_of_all(self, texts: Sequence[str]) -> list[Ids]:
        """Return the own ids of every text."""
        return [ids for chunk in self.chunks(texts) for ids in chunk]

    def chunks(self, texts: Sequence[str]) -> Iterator[list[Ids]]:
        """Tokenise piece by piece, in order, so that the library's encodings never pile up."""
        if len(texts) == 1:
            yield [self.ids(texts[0])]
            return
        start = 0
        while start < len(texts):
            end, characters = start, 0
            while end < len(texts) and end - start < CHUNK_TEXTS and characters <= CHUNK_CHARACTERS:
                characters += len(texts[end])
                end += 1
            with _failing_as_inference():
                encodings = self._tokenizer.encode_batch_fast(list(texts[start:end]), add_special_tokens=False)
            yield [np.asarray(encoding.ids, dtype=np.int32) for encoding in encodings]
            start = end

    def frame(self, ids: Ids) -> Ids:
        """Put the special tokens of one text around its ids."""
        return np.concatenate((self._single.before, ids, self._single.after))

    def frame_pair(self, first: Ids, second: Ids) -> tuple[Ids, int]:
        """Join two texts with the special tokens of a pair; also return where token type 1 starts."""
        head = np.concatenate((self._pair.before, first, self._pair.between))
        whole = np.concatenate((head, second, self._pair.after))
        if self._pair.type_one is None:
            return whole, len(whole)
        return whole, len(self._pair.before) + len(first) + self._pair.type_one

    def _probe(self) -> str:
        for text in ("a", *(term for term in self.terms if term is not None)):
            with suppress(InferenceFailed):
                if self.ids(text).size:
                    return text
        raise BundleCorrupt("tokenizer.json has an empty vocabulary.")


@dataclass(frozen=True, slots=True)
class _Frame:
    """The special ids before, between and after one or two texts, read off what the tokenizer does with a probe.

    `type_one` counts from the end of the first text to the first token of type 1; None where all have type 0.
    """

    before: Ids
    between: Ids
    after: Ids
    type_one: int | None

    @classmethod
    def of(cls, encoding: Encoding) -> _Frame:
        ids = np.asarray(encoding.ids, dtype=np.int32)
        owners = encoding.sequence_ids
        last = max(owner for owner in owners if owner is not None)
        first_start, first_end = owners.index(0), len(owners) - owners[::-1].index(0)
        last_start, last_end = owners.index(last), len(owners) - owners[::-1].index(last)
        types = encoding.type_ids
        return cls(
            before=ids[:first_start],
            between=ids[first_end:last_start],
            after=ids[last_end:],
            type_one=types.index(1) - first_end if 1 in types else None,
        )

    @property
    def specials(self) -> int:
        return len(self.before) + len(self.between) + len(self.after)


@contextmanager
def _failing_as_inference() -> Iterator[None]:
    try:
        yield
    except Exception:
        # The library raises bare Exceptions, whose messages may quote the text.
        raise InferenceFailed("The tokenizer failed on this text.") from None


def _pad_id(tokenizer: Tokenizer) -> int:
    configured = (tokenizer.padding or {}).get("pad_id")
    candidates = (configured, tokenizer.token_to_id("[PAD]"), tokenizer.token_to_id("<pad>"), 0)
    return next(int(candidate) for candidate in candidates if candidate is not None)
