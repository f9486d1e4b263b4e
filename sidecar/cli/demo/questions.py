"""Asks the demo's questions with every profile and explains the best answer."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from sidecar.cli.demo.report import Answer, Expansion, Place, Question, WeightedTerm
from sidecar.client import AsyncSidecarClient
from sidecar.domain import Document, Side, SparseVector
from sidecar.engine import Engine
from sidecar.search import AsyncSearcher, Profile, SearchHit, SearchResult, load_profile

__all__ = ["PROFILES", "QUESTIONS", "ask"]

PROFILES = ("lexical", "sparse", "sparse+rerank")

QUESTIONS = (
    "how do I parse command line arguments",
    "run another program and capture what it prints",
    "make a copy of an object that shares nothing with the original",
    "find out how long a piece of code takes",
)

REPETITIONS = 5
"""Each search is timed this many times, after one that warms the caches; the median is shown."""

EXPLAINED_TERMS = 40

PATIENCE_SECONDS = 60.0


async def ask(text: str, engine: Engine, sidecar: AsyncSidecarClient, index: str, size: int) -> Question:
    """Ask one question with every profile; raises what `AsyncSearcher.search` raises."""
    answers: list[Answer] = []
    best: SearchHit | None = None
    for name in PROFILES:
        searcher = AsyncSearcher(engine, sidecar, _patient(load_profile(name)), index=index)
        results = [await searcher.search(text, size=size) for _ in range(REPETITIONS + 1)]
        answers.append(_answer(name, results))
        best = results[-1].hits[0] if results[-1].hits else best
    query = await sidecar.encode([text], side=Side.QUERY, return_terms=True)
    return Question(
        text=text,
        query_terms=_weighted(query.encodings[0].vector),
        answers=tuple(answers),
        expansion=await _expansion(best, sidecar) if best is not None else None,
    )


def _patient(profile: Profile) -> Profile:
    """Return the profile with time for a machine that is busy: a demo is to show every stage, and how long it takes."""
    rerank = profile.rerank and profile.rerank.model_copy(update={"timeout": PATIENCE_SECONDS})
    return profile.model_copy(
        update={"rerank": rerank, "encode_timeout": PATIENCE_SECONDS, "timeout": 2 * PATIENCE_SECONDS}
    )


def _answer(profile: str, results: Sequence[SearchResult]) -> Answer:
    timed = [result.timings for result in results[1:]]
    last = results[-1]
    return Answer(
        profile=profile,
        places=tuple(
            Place(
                rank=hit.rank,
                id=hit.id,
                kind=str(hit.source.get("kind", "")),
                score=next((s for s in (hit.rerank_score, hit.first_stage_score) if s is not None), 0.0),
            )
            for hit in last.hits
        ),
        encode_ms=statistics.median(timing.encode_ms for timing in timed),
        retrieve_ms=statistics.median(timing.retrieve_ms for timing in timed),
        rerank_ms=statistics.median(timing.rerank_ms for timing in timed),
        total_ms=statistics.median(timing.total_ms for timing in timed),
        degraded=last.degraded,
    )


async def _expansion(hit: SearchHit, sidecar: AsyncSidecarClient) -> Expansion | None:
    """Split a document's vector into terms that its text has and terms that the encoder added."""
    text = Document(hit.id, hit.source).text(("title", "text"))
    if not text:
        return None
    vector = (await sidecar.encode([text], side=Side.DOCUMENT, return_terms=True)).encodings[0].vector
    words = text.lower()
    weighted = _weighted(vector)
    own = tuple(term for term in weighted if term.term.removeprefix("##") in words)
    return Expansion(hit.id, own[:EXPLAINED_TERMS], tuple(t for t in weighted if t not in own)[:EXPLAINED_TERMS])


def _weighted(vector: SparseVector) -> tuple[WeightedTerm, ...]:
    return tuple(WeightedTerm(term, weight) for term, weight in zip(vector.terms, vector.weights, strict=True))
