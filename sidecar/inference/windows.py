"""Cutting a text's tokens to what a model reads: truncation, overlapping windows, or refusal."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.domain import WindowPolicy, Windows
from sidecar.errors import InvalidInput, TextTooLong

__all__ = ["Allowance", "Cut", "cut"]

MOST_TOKENS = 1 << 27
"""Tokens of all windows of one call: half a gigabyte of ids. Windows of the default stride need less for every request
that is no larger than the default settings accept."""

SPAN_TOKENS = 64
"""What a window costs besides its tokens, in tokens."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Which parts of a text are read.

    `spans` are half-open [start, end) positions in the text's own tokens; the first starts at 0 and each overlaps or
    touches the next, so that exactly the tokens before `tokens` are read. `truncated`: some lie beyond.
    """

    spans: tuple[tuple[int, int], ...]
    truncated: bool

    @property
    def tokens(self) -> int:
        return self.spans[-1][1] if self.spans else 0


class Allowance:
    """What may still be laid out for one call: windows that start at every token multiply a text by their length."""

    def __init__(self) -> None:
        self._left = MOST_TOKENS

    def take(self, part: Cut, *, beside: int = 0) -> None:
        """Count the windows of one more text, each with `beside` more tokens. Raises InvalidInput."""
        self._left -= sum(end - start + beside + SPAN_TOKENS for start, end in part.spans)
        if self._left < 0:
            raise InvalidInput(
                f"The windows of this call have more than {MOST_TOKENS:,} tokens in all: use a longer stride, fewer"
                " windows of a text, or fewer texts.",
                field="windows",
            )


def cut(length: int, capacity: int, windows: Windows, *, field: str) -> Cut:
    """Lay windows of at most `capacity` tokens over `length` tokens, special tokens counted in neither.

    A stride larger than the capacity would leave tokens unread between two windows and is taken as the capacity.
    Raises TextTooLong where the policy refuses to cut.
    """
    if length == 0:
        return Cut(spans=(), truncated=False)
    if length <= capacity:
        return Cut(spans=((0, length),), truncated=False)
    match windows.policy:
        case WindowPolicy.TRUNCATE:
            return Cut(spans=((0, capacity),), truncated=True)
        case WindowPolicy.REFUSE:
            raise TextTooLong(
                f"{field} has {length:,} tokens and the model reads {capacity:,}; ask for windows or truncation.",
                field=field,
            )
        case WindowPolicy.SLIDE:
            stride = min(windows.stride or max(1, capacity * 3 // 4), capacity)
            count = 1 + -(-(length - capacity) // stride)
            starts = range(0, min(count, windows.max_windows) * stride, stride)
            spans = tuple((start, min(start + capacity, length)) for start in starts)
            return Cut(spans=spans, truncated=count > windows.max_windows)
