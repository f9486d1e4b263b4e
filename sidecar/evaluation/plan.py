"""What an evaluation measures."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.domain import Windows
from sidecar.engine import PassageRule
from sidecar.errors import EvaluationError
from sidecar.search import Profile

__all__ = ["Plan"]

DEFAULT_BASELINE = "lexical"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured. `depth` hits per query go into the run; latency is taken on the first `latency_queries`.

    `windows`, `passages` and `model` are about the index that is made of a collection: how long texts are read, whether
    documents get a vector for each of their passages, and by which model. `baseline`: the profile that the others are
    compared with; none: `lexical` where it is among them, else the first.

    Raises EvaluationError where there is no profile, two have one name, or the baseline is none of them.
    """

    profiles: tuple[Profile, ...]
    baseline: str | None = None
    depth: int = 100
    latency_queries: int = 50
    latency_size: int = 10
    sampled_documents: int = 5_000
    windows: Windows | None = None
    passages: PassageRule | None = None
    model: str | None = None
    per_query: bool = False

    def __post_init__(self) -> None:
        names = [profile.name for profile in self.profiles]
        if not names:
            raise EvaluationError("There is no profile to evaluate: name one at least.")
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise EvaluationError(f"Two profiles are called {twice}: give one of them another `name`.")
        if self.baseline is not None and self.baseline not in names:
            raise EvaluationError(f"The baseline {self.baseline} is none of the profiles: {', '.join(names)}.")

    @property
    def compared_with(self) -> str:
        """Name of the profile that the others are compared with."""
        names = [profile.name for profile in self.profiles]
        return self.baseline or (DEFAULT_BASELINE if DEFAULT_BASELINE in names else names[0])
