"""What a cross-encoder remembers: documents' token ids, and, where asked for, the scores of pairs."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from sidecar.domain import Windows
from sidecar.inference.calls import Ids
from sidecar.inference.content_cache import CacheFigures, ContentCache, content_key
from sidecar.inference.cross_encoder import Scored
from sidecar.inference.models import tokenise
from sidecar.inference.tokens import TextTokenizer

__all__ = ["DocumentTokens", "PairScores"]

ENTRY_BYTES = 256
"""What an entry takes besides its ids: key, array header, place in the map."""

SMALL_IDS = 1 << 16
"""Vocabularies up to here are kept in two bytes an id."""


class DocumentTokens:
    """Tokenises documents, and keeps at most `capacity` bytes of ids: candidates of one query are those of the next.

    Usage:
        ids = DocumentTokens(tokenizer, 8 << 20).ids_of_all(documents, left)
    """

    def __init__(self, tokenizer: TextTokenizer, capacity: int) -> None:
        self._tokenizer = tokenizer
        self._cache: ContentCache[npt.NDArray[np.generic]] = ContentCache(capacity)
        self._kept: type[np.generic] = np.uint16 if len(tokenizer.terms) <= SMALL_IDS else np.int32

    def ids_of_all(self, texts: Sequence[str], left: threading.Event) -> list[Ids]:
        """Return every text's own ids, the same as the tokenizer's. Raises what `tokenise` raises."""
        if not self._cache:
            return tokenise(self._tokenizer, texts, left)
        keys = [content_key(text) for text in texts]
        found = [self._cache.get(key) for key in keys]
        missing = [place for place, ids in enumerate(found) if ids is None]
        fresh = tokenise(self._tokenizer, [texts[place] for place in missing], left) if missing else []
        for place, ids in zip(missing, fresh, strict=True):
            kept = ids.astype(self._kept)
            self._cache.put(keys[place], kept, kept.nbytes + ENTRY_BYTES)
        new = iter(fresh)
        return [next(new) if ids is None else ids.astype(np.int32) for ids in found]

    def figures(self) -> CacheFigures:
        """Return the cache's figures; `used` in bytes."""
        return self._cache.figures()


class PairScores:
    """The scores of at most `capacity` pairs of query and document, as read by one window policy."""

    def __init__(self, capacity: int) -> None:
        self._cache: ContentCache[Scored] = ContentCache(capacity)

    def __bool__(self) -> bool:
        """Whether anything is kept at all."""
        return bool(self._cache)

    def keys(self, query: str, documents: Sequence[str], windows: Windows) -> list[bytes]:
        """Return each pair's key; the policy decides what of a text is read, so it is part of it."""
        if not self._cache:
            return []
        policy = f"{windows.policy}/{windows.stride}/{windows.max_windows}"
        return [content_key(policy, query, document) for document in documents]

    def known(self, keys: Sequence[bytes]) -> dict[int, Scored]:
        """Return what is known, by the position of the key."""
        found = ((position, self._cache.get(key)) for position, key in enumerate(keys))
        return {position: scored for position, scored in found if scored is not None}

    def remember(self, keys: Sequence[bytes], scored: Mapping[int, Scored]) -> None:
        """Keep new scores, by the position of their key."""
        if self._cache:
            for position, one in scored.items():
                self._cache.put(keys[position], one, 1)

    def figures(self) -> CacheFigures:
        """Return the cache's figures; `used` in pairs."""
        return self._cache.figures()
