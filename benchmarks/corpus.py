"""Documents with their vectors, encoded once and kept on disk, for measurements of the cluster alone."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from benchmarks.bench import Bench
from benchmarks.measures.encode import STALL_SECONDS
from benchmarks.variants import with_floor, without_floor
from sidecar.bundle import Bundle
from sidecar.client import AsyncSidecarClient
from sidecar.domain import Side, SparseVector

__all__ = ["EncodedCorpus", "encoded_corpus"]

BATCH = 64


@dataclass(frozen=True, slots=True)
class EncodedCorpus:
    """Texts, their vectors without and with the lexical floor, and queries with theirs, which a floor changes not."""

    texts: tuple[str, ...]
    vectors: tuple[SparseVector, ...]
    floored: tuple[SparseVector, ...]
    queries: tuple[tuple[str, SparseVector], ...]


async def encoded_corpus(bench: Bench, texts: Sequence[str], queries: Sequence[str]) -> EncodedCorpus:
    """Encode everything by a sidecar, or read what an earlier run encoded; queries that leave no term are left out."""
    plain = without_floor(bench.sparse, bench.work)
    vectors = await _vectors(bench, plain, texts)
    floored = await _vectors(bench, with_floor(bench.sparse, texts, bench.work), texts)
    asked: list[tuple[str, SparseVector]] = []
    with bench.sidecar(plain) as process:
        async with AsyncSidecarClient(process.target, timeout=None) as client:
            for query in queries:
                result = await client.encode([query], side=Side.QUERY, return_terms=True)
                if len(result.encodings[0].vector):
                    asked.append((query, result.encodings[0].vector))
    return EncodedCorpus(tuple(texts), vectors, floored, tuple(asked))


async def _vectors(bench: Bench, bundle: Bundle, texts: Sequence[str]) -> tuple[SparseVector, ...]:
    path = bench.work / f"vectors-{bundle.fingerprint[:12]}-{_digest(texts)}.jsonl.gz"
    if not path.exists():
        with bench.sidecar(bundle) as process:
            async with AsyncSidecarClient(process.target, timeout=None) as client:
                await _encode(bench, client, texts, path)
    with gzip.open(path, "rb") as file:
        return tuple(SparseVector(*(tuple(column) for column in orjson.loads(line))) for line in file)


async def _encode(bench: Bench, client: AsyncSidecarClient, texts: Sequence[str], path: Path) -> None:
    batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
    rows: dict[int, bytes] = {}
    async for outcome in client.encode_stream(batches, return_terms=True, stall_timeout=STALL_SECONDS):
        encoded = [encoding.vector for encoding in outcome.unwrap().encodings]
        rows[outcome.position] = b"".join(
            orjson.dumps([one.term_ids, one.weights, one.terms]) + b"\n" for one in encoded
        )
        if len(rows) % 20 == 0:
            bench.say(f"encoded {len(rows) * BATCH} of {len(texts)} documents")
    partial = path.with_suffix(".partial")
    with gzip.open(partial, "wb", compresslevel=1) as file:
        for position in sorted(rows):
            file.write(rows[position])
    partial.rename(path)


def _digest(texts: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()[:12]
