"""Whether an index holds what it must hold, and how often it was written to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster.documents import source_text, text_hash
from sidecar.domain import WHOLE_TEXT, JsonObject
from sidecar.engine import Engine, dialect_named
from tests.faults.changes import Change

TEXT_CHANGES = frozenset({"replace", "text"})


@dataclass(frozen=True)
class Stored:
    """A document with its vector, and how many writes its version counts."""

    version: int
    source: JsonObject


async def stored(engine: Engine, index: str, ids: Sequence[str]) -> dict[str, Stored]:
    """Every document of `ids` that is there, as it is now."""
    found: dict[str, Stored] = {}
    for part in parts(ids, 500):
        answer = await engine.read("POST", f"/{index}/_mget", body={"ids": list(part)}, timeout=60.0)
        for entry in answer["docs"]:
            if entry["found"]:
                found[entry["_id"]] = Stored(entry["_version"], entry["_source"])
    return found


async def require_right(
    engine: Engine,
    client: AsyncSidecarClient,
    index: str,
    ids: Sequence[str],
    expected: Mapping[str, Mapping[str, object]],
) -> dict[str, Stored]:
    """Every expected document is there as it must be, with the vector of its text, and no other one of `ids`."""
    meta = await engine.index_meta(index)
    dialect = dialect_named(meta.dialect)
    held = await stored(engine, index, ids)
    assert set(held) == set(expected), "deleted documents came back, or others are lost"
    ours = {*dialect.written_fields(meta.vector_field), meta.hash_field}
    for part in parts(sorted(expected), 256):
        texts = [source_text(name, expected[name], meta) for name in part]
        answer = await client.encode(texts, return_terms=True, pruning=meta.pruning, windows=WHOLE_TEXT, timeout=300.0)
        for name, text, encoding in zip(part, texts, answer.encodings, strict=True):
            source = held[name].source
            assert {key: value for key, value in source.items() if key not in ours} == expected[name]
            assert source[meta.hash_field] == text_hash(text)
            wanted = dialect.document_fields(meta.vector_field, encoding.vector, meta.fingerprint)
            for field, value in wanted.items():
                assert source[field] == pytest.approx(value, rel=1e-3)
    await engine.refresh(index)
    present = dialect.presence_filter(meta.vector_field, meta.fingerprint)
    assert await engine.count(index, present) == await engine.count(index) == len(expected)
    return held


def parts(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), size):
        yield names[start : start + size]


def repeated_writes(held: Mapping[str, Stored], changes: Sequence[Change]) -> int:
    """How many writes more than one for each text that a document had; `held` had one write each to begin with."""
    made = dict.fromkeys(held, 0)
    texts = dict.fromkeys(held, 1)
    for change in changes:
        if change.id in held:
            made[change.id] += 1
            texts[change.id] += change.kind in TEXT_CHANGES
    return sum(max(0, one.version - 1 - made[name] - texts[name]) for name, one in held.items())
