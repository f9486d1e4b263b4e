"""Cutting a text's tokens to what a model reads: truncation, overlapping windows, or refusal."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.domain import WindowPolicy, Windows
from sidecar.errors import TextTooLong

__all__ = ["Cut", "cut"]


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
