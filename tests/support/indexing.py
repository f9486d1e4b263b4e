"""Documents that tests index, and runs that index them."""

from __future__ import annotations

import io
from pathlib import Path

import orjson

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters, IndexOptions, IndexRun, IndexSummary, Source
from sidecar.domain import Document
from sidecar.engine import BulkPolicy, Engine
from sidecar.errors import DocumentsNotWritten

FRUITLESS = BulkPolicy(attempts=2, first_wait=0.001, longest_wait=0.002, timeout=5.0, held_up_seconds=0.0)
"""Gives up at the second attempt."""


def corpus(count: int) -> list[dict[str, object]]:
    """Documents with a text each."""
    return [
        {"_id": f"d{n}", "title": f"Document {n}", "text": f"what the search says about the query {n}"}
        for n in range(count)
    ]


def article(name: str, text: str = "what the search says about the query", **more: object) -> Document:
    """A document with a title and a text."""
    return Document(name, {"title": f"Document {name}", "text": text, **more})


def articles(count: int) -> list[Document]:
    """Documents with a text each, `d0` and so on."""
    return [article(f"d{number}", f"what the search says about the query {number}") for number in range(count)]


def source(documents: list[dict[str, object] | bytes]) -> Source:
    """The documents as a file would give them; bytes are a line as they stand."""
    data = b"\n".join(line if isinstance(line, bytes) else orjson.dumps(line) for line in documents)
    return Source(io.BytesIO(data), "_id", len(data))


async def indexed(
    engine: Engine,
    client: AsyncSidecarClient,
    index: str,
    documents: list[dict[str, object] | bytes],
    letters: Path | None = None,
    options: IndexOptions | None = None,
) -> IndexSummary:
    """Index documents; the letters are counted as the summary counts them."""
    with DeadLetters(letters) as dead:
        one = IndexRun(engine, client, index, source(documents), dead, options)
        try:
            return await one.run()
        except DocumentsNotWritten:
            assert one.summary.read == one.summary.written + one.summary.failed
            assert one.summary.failed == dead.count
            raise


def letters_in(file: Path) -> list[dict[str, object]]:
    """What a file of dead letters holds."""
    return [orjson.loads(line) for line in file.read_bytes().splitlines()]
