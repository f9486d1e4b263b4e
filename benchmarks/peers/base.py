"""What a peer has to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Encoder", "Options", "Peer", "Reranker"]


@dataclass(frozen=True)
class Options:
    """The model's folder, how many tokens it reads, texts per batch, threads."""

    folder: str
    max_tokens: int
    batch: int
    threads: int


class Peer:
    """One way of running a model; the constructor loads it."""

    packages: tuple[str, ...] = ()
    """Distributions whose versions the report shows."""


class Encoder(Peer, ABC):
    """A sparse encoder of documents."""

    def prepare(self, texts: Sequence[str]) -> None:
        """Do what is not timed."""
        del texts

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> int:
        """Encode the texts, vectors as ids and weights in the end, and return how many terms they have in all."""


class Reranker(Peer, ABC):
    """A cross-encoder."""

    @abstractmethod
    def rerank(self, query: str, documents: Sequence[str]) -> list[float]:
        """Return each document's score, in the order of the documents."""
