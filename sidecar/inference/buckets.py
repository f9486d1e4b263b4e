"""Bucketed lengths: sequences are padded to one of few lengths, so that a session sees few shapes."""

from __future__ import annotations

from bisect import bisect_left

__all__ = ["Buckets"]

FINEST = 8


class Buckets:
    """The lengths up to a model's longest sequence: multiples of 8 up to 32, then four per doubling.

    At most a fifth of a bucket is padding from 40 tokens on, and 512 tokens need 20 shapes.
    """

    def __init__(self, longest: int) -> None:
        lengths: list[int] = []
        length = FINEST
        while length < longest:
            lengths.append(length)
            length += max(FINEST, 1 << (length.bit_length() - 3))
        self.lengths: tuple[int, ...] = (*lengths, longest)

    def of(self, length: int) -> int:
        """Return the shortest bucket that holds `length` tokens; a longer sequence than the longest is a bug."""
        return self.lengths[bisect_left(self.lengths, length)]
