"""Numbers that no double and no 64 bits hold, in documents that are written and rewritten, on a real node.

A cluster keeps them in `_source`, in fields that nothing maps or indexes, and gives them out as they came.
"""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import httpx
import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import (
    AsyncSparseWriter,
    DeadLetters,
    IndexRun,
    IndexSpec,
    Source,
    pick_encoder,
    set_up,
    tear_down,
)
from sidecar.cluster.reconcile import ReconcileRun
from sidecar.cluster.retry import retry
from sidecar.domain import Document
from sidecar.engine import Engine
from sidecar.errors import DocumentsNotWritten
from sidecar.search import AsyncSearcher
from tests.support.migration import SPARSE
from tests.support.nodes import Node
from tests.support.second_index import Names, begin_second, copy, prepare_alias, verified
from tests.support.shell import typed

pytestmark = pytest.mark.integration

WHOLE = 12_345_678_901_234_567_890_123
NUMBERS = {
    "whole": str(WHOLE),
    "negative": f"-{WHOLE}",
    "unsigned": "18446744073709551616",
    "fraction": "0.1234567890123456789",
    "money": "123456789012345678.99",
}
ROUNDED = {**NUMBERS, "fraction": "0.12345678901234568", "money": "1.2345678901234568E17"}
"""What a cluster makes of them itself, where it writes a document anew or gives a part of it out."""

RAW = {"properties": {"raw": {"type": "object", "enabled": False}}}
TEXT = "the lion and the wolf near the river"
SAID = ", ".join(f'"{name}": {number}' for name, number in NUMBERS.items())
LINE = f'{{"_id": "1", "text": "{TEXT}", "raw": {{"deep": [{{{SAID}}}]}}}}'.encode()


async def stored(node: Node, index: str, name: str = "1") -> str:
    """A document as the cluster gives it out, not read by anybody."""
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{node.url}/{index}/_source/{name}")
        return answer.raise_for_status().text


async def put(node: Node, index: str, body: bytes) -> None:
    """Write a document as an application does."""
    async with httpx.AsyncClient() as http:
        headers = {"content-type": "application/json"}
        answer = await http.put(f"{node.url}/{index}/_doc/1?refresh=true", content=body, headers=headers)
        assert answer.status_code in (200, 201), answer.text


def require_digits(source: str, numbers: dict[str, str] = NUMBERS) -> None:
    plain = source.replace(" ", "")
    for name, number in numbers.items():
        assert f'"{name}":{number}' in plain, (name, plain)


async def index_line(engine: Engine, client: AsyncSidecarClient, index: str, line: bytes, letters: Path | None) -> None:
    with DeadLetters(letters, index) as dead:
        await IndexRun(engine, client, index, Source(io.BytesIO(line), "_id", len(line)), dead).run()


async def test_what_is_indexed_is_what_the_file_says(
    opensearch: Node, engine: Engine, client: AsyncSidecarClient, bare_index: str
) -> None:
    await engine.put_mapping(bare_index, RAW)
    await index_line(engine, client, bare_index, LINE, None)
    require_digits(await stored(opensearch, bare_index))


async def test_what_the_cluster_refuses_is_in_the_letters_with_every_digit_and_can_be_tried_again(
    opensearch: Node, engine: Engine, client: AsyncSidecarClient, bare_index: str, tmp_path: Path
) -> None:
    """No type that a cluster gives a field by itself holds such a number."""
    letters = tmp_path / "letters.jsonl"
    with pytest.raises(DocumentsNotWritten):
        await index_line(engine, client, bare_index, LINE, letters)
    require_digits(letters.read_text())
    await engine.put_mapping(bare_index, RAW)
    summary = await retry(engine, client, letters)
    assert (summary.letters, summary.resolved) == (1, 1)
    require_digits(await stored(opensearch, bare_index))


async def test_an_id_keeps_its_digits(engine: Engine, client: AsyncSidecarClient, bare_index: str) -> None:
    line = f'{{"_id": {WHOLE}, "text": "{TEXT}"}}'.encode()
    await index_line(engine, client, bare_index, line, None)
    assert await engine.get(bare_index, str(WHOLE)) is not None


async def test_a_writer_writes_whole_numbers_of_any_size(
    opensearch: Node, engine: Engine, client: AsyncSidecarClient, bare_index: str
) -> None:
    await engine.put_mapping(bare_index, RAW)
    writer = AsyncSparseWriter(engine, client, bare_index)
    fields = {"text": TEXT, "raw": {"whole": WHOLE, "negative": -WHOLE}}
    (outcome,) = await writer.write([Document("1", fields)])
    assert outcome.written, outcome.reason
    kept = {"whole": str(WHOLE), "negative": f"-{WHOLE}"}
    require_digits(await stored(opensearch, bare_index), kept)


async def test_a_vector_that_is_added_changes_what_any_update_does_and_no_whole_number(
    opensearch: Node, engine: Engine, client: AsyncSidecarClient, bare_index: str
) -> None:
    """The document is written anew by the cluster itself, from what it has; docs/cluster.md says what that costs."""
    await engine.put_mapping(bare_index, RAW)
    await put(opensearch, bare_index, LINE.replace(b'"_id": "1", ', b""))
    with DeadLetters(None) as letters:
        summary = await ReconcileRun(engine, client, bare_index, letters).run()
    assert summary.written == 1
    found = await stored(opensearch, bare_index)
    require_digits(found, ROUNDED)
    assert "splade" in found


async def test_a_copy_into_a_second_index_has_every_digit(
    opensearch: Node, engine: Engine, both: AsyncSidecarClient, names: Names
) -> None:
    await prepare_alias(engine, both, names, {"d0": {"text": TEXT}})
    await engine.put_mapping(names.first, RAW)
    await put(opensearch, names.alias, LINE.replace(b'"_id": "1", ', b""))
    await begin_second(engine, both, names)
    summary = await copy(engine, both, names)
    assert (summary.written, summary.failed, summary.left) == (2, 0, 0)
    require_digits(await stored(opensearch, names.second))
    changed = LINE.replace(b'"_id": "1", ', b"").replace(b"0.1234567890123456789", b"0.1234567890123456788")
    await put(opensearch, names.alias, changed)
    summary = await copy(engine, both, names)
    assert (summary.written, summary.failed, summary.left) == (1, 0, 0)
    require_digits(await stored(opensearch, names.second), {"fraction": "0.1234567890123456788", "whole": str(WHOLE)})
    await verified(engine, both, names)


async def test_searches_show_such_a_document(
    opensearch: Node, engine: Engine, client: AsyncSidecarClient, bare_index: str
) -> None:
    await engine.put_mapping(bare_index, RAW)
    await index_line(engine, client, bare_index, LINE, None)
    found = await AsyncSearcher(engine, client, SPARSE, index=bare_index).search("lion")
    (hit,) = found.hits
    raw = hit.source["raw"]
    assert isinstance(raw, dict)
    assert raw["deep"][0]["whole"] == WHOLE
    assert float(raw["deep"][0]["fraction"]) == 0.1234567890123456789
    shown = await asyncio.to_thread(
        typed, "search", "lion", "--index", bare_index, "--profile", "lexical", "--engine", opensearch.url, "--json"
    )
    shown_of = {name: number for name, number in ROUNDED.items() if name != "money"}
    require_digits(shown.stdout, shown_of)


async def test_vectors_are_taken_out_and_nothing_else(
    opensearch: Node, engine: Engine, client: AsyncSidecarClient, index_name: str
) -> None:
    text = {"type": "text"}
    await engine.create_index(index_name, {"mappings": {"properties": {"text": text, **RAW["properties"]}}})
    encoder = pick_encoder(await client.models(), None)
    await set_up(engine, IndexSpec(index_name, encoder, source_fields=("text",), lexical_field="text"))
    await index_line(engine, client, index_name, LINE, None)
    await tear_down(engine, index_name, vectors=True)
    found = await stored(opensearch, index_name)
    assert "splade" not in found
    require_digits(found, ROUNDED)
