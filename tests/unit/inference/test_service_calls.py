"""Which model answers a call, and calls that come too late, too many, or to a service that is gone."""

import asyncio
import gc
import time

import numpy as np
import pytest

from sidecar.domain import Lane, ModelKind, Pruning, PruningType, Side
from sidecar.errors import (
    DeadlineExceeded,
    FingerprintMismatch,
    InferenceFailed,
    NotReady,
    Overloaded,
    SettingsInvalid,
    UnknownModel,
    WrongModelKind,
)
from sidecar.inference import InferenceService
from sidecar.settings import Settings
from tests.unit.inference.graphs import close_to, expected, sparse_bundle, table


async def test_models(service, bundles):
    infos = service.models()
    assert [info.name for info in infos] == [bundle.manifest.name for bundle in bundles]
    assert [info.is_default for info in infos] == [True, True, False, False, False]
    assert infos[0].kind is ModelKind.SPARSE_ENCODER
    assert infos[0].document_pruning == Pruning(PruningType.TOP_K, 5)
    assert (infos[0].query_mode, infos[2].query_mode, infos[1].query_mode) == ("neural", "idf", None)
    assert set(service.figures()) == {"arithmetic-sparse", "arithmetic-cross", "arithmetic-idf", "plain-cross"}


async def test_choosing_a_model(service):
    with pytest.raises(UnknownModel) as caught:
        await service.encode(["w1"], model="secret text")
    served = "arithmetic-sparse, arithmetic-cross, arithmetic-idf, "
    assert caught.value.message.startswith(f"No such model. Served here: {served}")
    assert "secret" not in caught.value.message
    with pytest.raises(WrongModelKind):
        await service.encode(["w1"], model="arithmetic-cross")
    with pytest.raises(WrongModelKind):
        await service.rerank("w1", ["w2"], model="arithmetic-sparse")
    assert (await service.encode(["w1"], model="")).model == "arithmetic-sparse"


async def test_no_model_of_the_kind(bundles):
    service = InferenceService.load(bundles[:1], Settings(threads=1))
    try:
        with pytest.raises(UnknownModel, match="cross-encoder"):
            await service.rerank("w1", ["w2"])
    finally:
        service.close()


async def test_the_fingerprint_handshake(service, bundles):
    await service.encode(["w1"], expected_fingerprint=bundles[0].fingerprint)
    await service.encode(["w1"], expected_fingerprint="")
    await service.rerank("w1", ["w2"], expected_fingerprint=bundles[1].fingerprint)
    for call in (
        service.encode(["w1"], expected_fingerprint=bundles[2].fingerprint),
        service.rerank("w1", ["w2"], expected_fingerprint="0" * 64),
    ):
        with pytest.raises(FingerprintMismatch) as caught:
            await call
        assert caught.value.field == "expected_fingerprint"


@pytest.mark.parametrize("model", ["arithmetic-sparse", "arithmetic-idf"])
async def test_a_deadline_that_has_passed(service, model):
    for texts in (["w1"], ["w1 w2"] * 3_000):
        with pytest.raises(DeadlineExceeded):
            await service.encode(texts, side=Side.QUERY, model=model, deadline=time.monotonic() - 0.1)
    with pytest.raises(DeadlineExceeded):
        await service.rerank("w1", ["w2"], deadline=time.monotonic() - 0.1)


async def test_a_deadline_in_the_middle(service):
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        await service.encode(["w1 w2 w3 w4"] * 16_000, lane=Lane.BULK, deadline=started + 0.05)
    assert time.monotonic() - started < 2.0
    assert service.figures()["arithmetic-sparse"].waiting_tokens[Lane.BULK] == 0
    assert len((await service.encode(["w1"])).encodings) == 1


async def test_a_caller_that_leaves(service):
    task = asyncio.create_task(service.encode(["w1 w2 w3 w4"] * 16_000, lane=Lane.BULK))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert service.figures()["arithmetic-sparse"].waiting_tokens[Lane.BULK] == 0


async def test_overload_is_told_at_once(bundles):
    service = InferenceService.load(bundles[:1], Settings(threads=1, max_queue_tokens=256, max_batch_tokens=16))
    try:
        calls = [service.encode(["w1 w2 w3 w4 w5 w6"] * 400) for _ in range(20)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    finally:
        service.close()
    refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert refused
    assert len(refused) < len(outcomes)
    assert all(isinstance(error, Overloaded) and 0 < error.retry_after <= 60 for error in refused)


async def test_many_callers_of_every_kind(service):
    async def one(number: int):
        text = f"w{number % 59} w{number % 7}"
        match number % 3:
            case 0:
                encoding = (await service.encode([text], pruning=Pruning(), return_terms=True)).encodings[0]
                assert encoding.vector.by_term() == close_to(expected(text))
            case 1:
                await service.encode([text], side=Side.QUERY, model="arithmetic-idf")
            case _:
                result = await service.rerank(text, ["w1", "w2", "w3"])
                assert [document.index for document in result.results] == [2, 1, 0]

    await asyncio.gather(*(one(number) for number in range(600)))


async def test_big_calls_do_not_hold_the_event_loop(service):
    """Between two ticks the loop's own thread does the smaller part of the work of cutting and encoding 64,000 tokens.

    A share of the process's own CPU time is compared, without the garbage collector, so that neither a loaded machine
    nor what other tests left behind decides.
    """
    gc.collect()
    gc.disable()
    try:
        started = time.process_time()
        task = asyncio.create_task(service.encode(["w1 w2 w3 w4"] * 16_000, lane=Lane.BULK))
        longest, ticks = 0.0, 0
        while not task.done():
            before = time.thread_time()
            await asyncio.sleep(0.001)
            longest = max(longest, time.thread_time() - before)
            ticks += 1
        await task
        whole = time.process_time() - started
    finally:
        gc.enable()
    assert ticks > 10
    assert longest < whole / 2


async def test_closed_is_not_ready(bundles):
    service = InferenceService.load(bundles[:2], Settings(threads=1))
    service.close()
    with pytest.raises(NotReady):
        await service.encode(["w1"])
    with pytest.raises(NotReady):
        await service.rerank("w1", ["w2"])
    service.close()


def test_two_bundles_of_one_name(bundles):
    with pytest.raises(SettingsInvalid, match="arithmetic-sparse"):
        InferenceService.load([bundles[0], bundles[0]], Settings())


def test_warming_up_finds_a_graph_that_does_not_work(tmp_path):
    service = InferenceService.load([sparse_bundle(tmp_path, matrix=np.full_like(table(), np.nan))], Settings())
    try:
        with pytest.raises(InferenceFailed):
            service.warm_up()
    finally:
        service.close()


def test_threads_come_from_settings_or_from_the_machine(bundles, monkeypatch):
    monkeypatch.setattr("sidecar.inference.service.available_cpus", lambda: 3)
    for threads, used in ((0, 3), (2, 2)):
        service = InferenceService.load(bundles[:1], Settings(threads=threads))
        assert service.threads == used
        service.close()
