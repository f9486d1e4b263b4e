"""What became of a corpus."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ScaleSummary"]


@dataclass(frozen=True, slots=True)
class ScaleSummary:
    """`read` = `written` + `failed`; `failed` are in the dead letters.

    `encoding_seconds` is the time that all actors together spent encoding, `seconds` the time of the whole run.
    """

    read: int = 0
    written: int = 0
    without_vector: int = 0
    truncated: int = 0
    failed: int = 0
    terms: int = 0
    encoding_seconds: float = 0.0
    seconds: float = 0.0

    @property
    def documents_per_second(self) -> float:
        """Documents written per second of the whole run."""
        return self.written / self.seconds if self.seconds > 0 else 0.0

    @property
    def documents_per_actor_second(self) -> float:
        """Documents per second that one actor encodes: what planning multiplies by the number of actors."""
        return self.read / self.encoding_seconds if self.encoding_seconds > 0 else 0.0

    @property
    def mean_terms(self) -> float:
        """Terms per written document."""
        return self.terms / self.written if self.written else 0.0
