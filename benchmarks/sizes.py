"""How much is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sidecar.inference.cpu import available_cpus

__all__ = ["Sizes", "chosen_sizes"]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Texts, rounds, queries; `batch` is the peers' texts per batch, `searched` and `indexed` count documents.

    `streamed` documents go through the sidecar and the bare loop, which are fast: a stream's first and last second
    would else be all of it.
    """

    documents: int = 256
    streamed: int = 1_024
    rounds: int = 5
    batch: int = 32
    queries: int = 300
    passages: int = 100
    rerank_queries: int = 15
    indexed: int = 2_000
    searched: int = 40_000
    reconciled: int = 50_000
    soak_minutes: float = 3.0
    threads: int = 2


QUICK = Sizes(
    documents=8,
    streamed=16,
    rounds=2,
    batch=8,
    queries=10,
    passages=8,
    rerank_queries=2,
    indexed=24,
    searched=60,
    reconciled=50,
    soak_minutes=0.1,
)
"""To see that everything works; its numbers mean nothing."""


def chosen_sizes(*, quick: bool, given: Mapping[str, int | float]) -> Sizes:
    """Return the sizes for publication or the quick ones, with what was given over them."""
    base = replace(QUICK if quick else Sizes(), threads=available_cpus())
    return replace(base, **given)  # type: ignore[arg-type]  # names and types are the command's
