"""Documents with their vectors, encoded once and kept on disk, for measurements of the cluster alone."""

from __future__ import annotations

import gzip
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from benchmarks.bench import Bench
from sidecar.client import AsyncSidecarClient
from sidecar.domain import Side, SparseVector
from sidecar.inference.tokens import TextTokenizer

__all__ = ["EncodedCorpus", "encoded_corpus", "with_floor"]

K1, B, FLOOR = 1.2, 0.75, 0.7
"""BM25's constants as OpenSearch has them, and the floor's weight that was found best when it was first measured."""

BATCH = 64


@dataclass(frozen=True, slots=True)
class EncodedCorpus:
    """Texts, their vectors without and with the lexical floor, and queries with theirs."""

    texts: tuple[str, ...]
    vectors: tuple[SparseVector, ...]
    floored: tuple[SparseVector, ...]
    queries: tuple[tuple[str, SparseVector], ...]


async def encoded_corpus(bench: Bench, texts: Sequence[str], queries: Sequence[str]) -> EncodedCorpus:
    """Encode everything by a sidecar, or read what an earlier run encoded."""
    with bench.sidecar(bench.sparse) as process:
        async with AsyncSidecarClient(process.target, timeout=None) as client:
            vectors = await _vectors(bench, client, texts)
            asked: list[tuple[str, SparseVector]] = []
            for query in queries:
                result = await client.encode([query], side=Side.QUERY, return_terms=True)
                if len(result.encodings[0].vector):
                    asked.append((query, result.encodings[0].vector))
    tokenizer = TextTokenizer(bench.sparse.file("tokenizer.json"))
    return EncodedCorpus(tuple(texts), vectors, with_floor(tokenizer, texts, vectors), tuple(asked))


def with_floor(
    tokenizer: TextTokenizer, texts: Sequence[str], vectors: Sequence[SparseVector]
) -> tuple[SparseVector, ...]:
    """Add BM25's term saturation of each text's own terms to its vector (Robertson & Zaragoza 2009).

    A bundle with a floor of its own has done that already: the sum then is no model's vector, and as large as one.
    """
    counted = [Counter(ids.tolist()) for ids in tokenizer.ids_of_all(texts)]
    mean = sum(counts.total() for counts in counted) / max(1, len(counted))
    floored: list[SparseVector] = []
    for counts, vector in zip(counted, vectors, strict=True):
        norm = K1 * (1 - B + B * counts.total() / mean)
        weights = dict(zip(vector.terms, vector.weights, strict=True))
        ids = dict(zip(vector.terms, vector.term_ids, strict=True))
        for term_id, count in counts.items():
            term = tokenizer.terms[term_id]
            if term is not None and term_id not in tokenizer.special_ids:
                weights[term] = weights.get(term, 0.0) + FLOOR * count * (K1 + 1) / (count + norm)
                ids[term] = term_id
        order = sorted(weights, key=lambda term: -weights[term])
        floored.append(
            SparseVector(tuple(ids[term] for term in order), tuple(weights[term] for term in order), tuple(order))
        )
    return tuple(floored)


async def _vectors(bench: Bench, client: AsyncSidecarClient, texts: Sequence[str]) -> tuple[SparseVector, ...]:
    path = bench.work / f"vectors-{bench.sparse.fingerprint[:12]}-{_digest(texts)}.jsonl.gz"
    if not path.exists():
        batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
        rows: dict[int, bytes] = {}
        async for outcome in client.encode_stream(batches, return_terms=True):
            encoded = [encoding.vector for encoding in outcome.unwrap().encodings]
            rows[outcome.position] = b"".join(
                orjson.dumps([one.term_ids, one.weights, one.terms]) + b"\n" for one in encoded
            )
            if len(rows) % 20 == 0:
                bench.say(f"encoded {len(rows) * BATCH} of {len(texts)} documents")
        _write(path, rows)
    with gzip.open(path, "rb") as file:
        return tuple(SparseVector(*(tuple(column) for column in orjson.loads(line))) for line in file)


def _write(path: Path, rows: dict[int, bytes]) -> None:
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
