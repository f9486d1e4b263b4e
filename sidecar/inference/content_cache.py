"""What was worked out for a text, found again by the text's content: bounded, least recently used out first."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["CacheFigures", "ContentCache", "content_key"]

Value = TypeVar("Value")

LARGEST_SHARE = 0.25
"""No value of more than this share of the capacity is kept: one huge text must not push out all others."""


@dataclass(frozen=True, slots=True)
class CacheFigures:
    """What a cache is at: look-ups since the start, what it holds now, in the unit of its capacity."""

    hits: int = 0
    misses: int = 0
    used: int = 0


class ContentCache(Generic[Value]):
    """A map of at most `capacity` cost units, safe to use from several threads. A capacity of 0 keeps nothing."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[bytes, tuple[Value, int]] = OrderedDict()
        self._lock = threading.Lock()
        self._used = self._hits = self._misses = 0

    def __bool__(self) -> bool:
        """Whether anything can be kept; a cache that keeps nothing need not be asked."""
        return self._capacity > 0

    def get(self, key: bytes) -> Value | None:
        """Return what is kept under `key`, and keep it longer; None: nothing."""
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                self._misses += 1
                return None
            self._hits += 1
            self._entries.move_to_end(key)
            return found[0]

    def put(self, key: bytes, value: Value, cost: int) -> None:
        """Keep `value`, which takes `cost` units, and drop what was not asked for longest where it gets too much."""
        if not 0 <= cost <= max(1.0, self._capacity * LARGEST_SHARE) or cost > self._capacity:
            return
        with self._lock:
            replaced = self._entries.pop(key, None)
            self._used += cost - (replaced[1] if replaced is not None else 0)
            self._entries[key] = (value, cost)
            while self._used > self._capacity:
                _, (_, freed) = self._entries.popitem(last=False)
                self._used -= freed

    def figures(self) -> CacheFigures:
        with self._lock:
            return CacheFigures(self._hits, self._misses, self._used)


def content_key(*parts: str) -> bytes:
    """Return 128 bits that stand for these texts in this order (BLAKE2b): equal only for equal texts, for practice."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        # Lengths first: ("ab", "c") must not read like ("a", "bc").
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.digest()
