"""Documents into a real OpenSearch: end to end, against encoding alone and writing alone."""

from __future__ import annotations

import io
import time
import uuid
from contextlib import AsyncExitStack

import orjson

from benchmarks.bench import Bench, Found
from benchmarks.cluster import connected
from benchmarks.measures.encode import stream
from benchmarks.results import Measured, medians, ratio
from benchmarks.timing import take_turns
from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters, IndexRun, IndexSpec, Source, pick_encoder, set_up
from sidecar.cluster.reconcile import ReconcileRun
from sidecar.domain import WHOLE_TEXT
from sidecar.engine import BulkAction

__all__ = ["measure"]

WRITTEN_AT_ONCE = 500


async def measure(bench: Bench) -> Found:
    """Each round indexes the same documents anew, encodes them alone, and writes them, encoded before, alone."""
    texts = bench.texts.some(bench.sizes.indexed)
    lines = b"".join(orjson.dumps({"_id": str(number), "text": text}) + b"\n" for number, text in enumerate(texts))
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(connected(bench))
        process = stack.enter_context(bench.sidecar(bench.sparse))
        client = await stack.enter_async_context(AsyncSidecarClient(process.target, timeout=None))
        chosen = pick_encoder(await client.models(), bench.sparse.manifest.name)
        written: list[BulkAction] = []

        async def end_to_end(number: int) -> float:
            name = f"sidecar-bench-{uuid.uuid4().hex[:8]}"
            await set_up(engine, IndexSpec(name, chosen, source_fields=("text",)))
            try:
                with DeadLetters(None) as letters:
                    source = Source(io.BytesIO(lines), "_id", len(lines))
                    summary = await IndexRun(engine, client, name, source, letters, model=chosen.name).run()
                if not written:
                    for place in range(len(texts)):
                        document = await engine.get(name, str(place))
                        written.append(BulkAction(name, str(place), document))
            finally:
                await engine.delete_index(name)
            return summary.documents_per_second

        async def encoding(number: int) -> float:
            started = time.perf_counter()
            await stream(client, texts, WHOLE_TEXT)
            return len(texts) / (time.perf_counter() - started)

        async def writing(number: int) -> float:
            name = f"sidecar-bench-{uuid.uuid4().hex[:8]}"
            await set_up(engine, IndexSpec(name, chosen, source_fields=("text",)))
            try:
                actions = [BulkAction(name, action.id, action.document) for action in written]
                started = time.perf_counter()
                for start in range(0, len(actions), WRITTEN_AT_ONCE):
                    await engine.bulk(actions[start : start + WRITTEN_AT_ONCE])
                await engine.refresh(name)
                return len(actions) / (time.perf_counter() - started)
            finally:
                await engine.delete_index(name)

        async def reconcile(number: int) -> float:
            name = f"sidecar-bench-{uuid.uuid4().hex[:8]}"
            await set_up(engine, IndexSpec(name, chosen, source_fields=("text",)))
            try:
                for start in range(0, len(texts), WRITTEN_AT_ONCE):
                    batch = enumerate(texts[start : start + WRITTEN_AT_ONCE], start)
                    await engine.bulk([BulkAction(name, str(place), {"text": text}) for place, text in batch])
                await engine.refresh(name)
                with DeadLetters(None) as letters:
                    started = time.perf_counter()
                    await ReconcileRun(engine, client, name, letters, model=chosen.name).run()
                    return len(texts) / (time.perf_counter() - started)
            finally:
                await engine.delete_index(name)

        bench.say(f"indexing {len(texts)} documents, {bench.sizes.rounds} rounds")
        contenders = {"end to end": end_to_end, "reconcile": reconcile, "encoding": encoding, "writing": writing}
        rounds = await take_turns(contenders, bench.sizes.rounds)
    bench.figures.update({f"indexing.{name} documents/s": value for name, value in medians(rounds).items()})
    bounds = [min(encoded, wrote) for encoded, wrote in zip(rounds["encoding"], rounds["writing"], strict=True)]
    return {
        "indexing.share": ratio(rounds["end to end"], bounds),
        "indexing.documents": Measured.of(rounds["end to end"]),
        "indexing.reconcile_share": ratio(rounds["reconcile"], bounds),
    }
