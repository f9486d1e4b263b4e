"""The whole core over graphs whose arithmetic is known."""

import asyncio
import gc
import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.domain import Lane, ModelKind, Pruning, PruningType, Side, WindowPolicy, Windows
from sidecar.errors import (
    DeadlineExceeded,
    EmptyText,
    FingerprintMismatch,
    InferenceFailed,
    MalformedText,
    NotReady,
    Overloaded,
    SettingsInvalid,
    TextTooLarge,
    TextTooLong,
    TooManyTexts,
    UnknownModel,
    WrongModelKind,
)
from sidecar.inference import InferenceService
from sidecar.settings import Settings
from tests.unit.inference.graphs import SPECIALS, TERMS, cross_bundle, expected_weights, sparse_bundle, table, term_id

IDF = {"w1": 2.0, "w2": 0.5}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    root = tmp_path_factory.mktemp("bundles")
    return [
        sparse_bundle(root / "sparse", document_pruning={"type": "top_k", "value": 5}),
        cross_bundle(root / "cross"),
        sparse_bundle(root / "idf", name="arithmetic-idf", query_weights=IDF),
        sparse_bundle(root / "queries", name="queries-only", kind="none", query_weights=IDF),
        cross_bundle(root / "plain", name="plain-cross", typed=False, score_activation="identity"),
    ]


@pytest.fixture(scope="module", params=[1, 3], ids=["one_thread", "three_threads"])
def service(bundles, request):
    made = InferenceService.load(bundles, Settings(threads=request.param, max_text_bytes=5_000))
    made.warm_up()
    yield made
    made.close()


def expected(text: str) -> dict[str, float]:
    ids = [2, *[term_id(word) for word in text.split()][:14], 3]
    weights = expected_weights(ids, table())
    return {TERMS[number]: weight for number, weight in enumerate(weights) if weight > 0 and number >= len(SPECIALS)}


def close_to(weights: dict[str, float]) -> dict[str, object]:
    return {term: pytest.approx(weight, rel=1e-4) for term, weight in weights.items()}


async def test_documents(service, bundles):
    texts = ["w1 w2 w3", "w10", "w4 " * 9]
    result = await service.encode(texts, pruning=Pruning(), return_terms=True)
    assert [encoding.vector.by_term() for encoding in result.encodings] == [close_to(expected(text)) for text in texts]
    assert [encoding.tokens for encoding in result.encodings] == [3, 1, 9]
    assert (result.model, result.fingerprint) == ("arithmetic-sparse", bundles[0].fingerprint)
    assert result.timings.total_us >= result.timings.inference_us > 0
    for encoding in result.encodings:
        assert all(one >= other > 0 for one, other in pairwise(encoding.vector.weights))


async def test_the_manifests_pruning_is_the_documents_default_and_not_the_queries(service):
    document = (await service.encode(["w1 w2"])).encodings[0]
    query = (await service.encode(["w1 w2"], side=Side.QUERY)).encodings[0]
    assert len(document.vector) == 5
    assert len(query.vector) == len(expected("w1 w2"))
    assert document.vector.terms == ()


async def test_inference_free_queries(service):
    result = await service.encode(["w1 w2 w3 w1"], side=Side.QUERY, model="arithmetic-idf", return_terms=True)
    assert result.encodings[0].vector.by_term() == {"w1": 2.0, "w3": 1.0, "w2": 0.5}
    assert result.timings.inference_us == result.timings.queue_us == 0


async def test_many_inference_free_queries_leave_the_event_loop(service):
    texts = ["w1 w2 w3"] * 2_000
    result = await service.encode(texts, side=Side.QUERY, model="queries-only")
    assert len(result.encodings) == 2_000
    assert set(result.encodings) == {result.encodings[0]}


async def test_a_query_encoder_without_graph_refuses_documents(service):
    with pytest.raises(WrongModelKind, match="queries only"):
        await service.encode(["w1"], model="queries-only")


async def test_truncation_windows_refusal(service):
    words = [f"w{number}" for number in range(40)]
    text = " ".join(words)
    cut = (await service.encode([text], pruning=Pruning(), return_terms=True)).encodings[0]
    assert (cut.truncated, cut.windows, cut.tokens) == (True, 1, 14)
    assert cut.vector.by_term() == close_to(expected(text))
    windows = Windows(WindowPolicy.SLIDE, stride=10)
    slid = (await service.encode([text], pruning=Pruning(), windows=windows, return_terms=True)).encodings[0]
    assert (slid.truncated, slid.windows, slid.tokens) == (False, 4, 40)
    largest: dict[str, float] = {}
    for start in (0, 10, 20, 30):
        for term, weight in expected(" ".join(words[start : start + 14])).items():
            largest[term] = max(weight, largest.get(term, 0.0))
    assert slid.vector.by_term() == close_to(largest)
    with pytest.raises(TextTooLong) as caught:
        await service.encode(["w1", text], windows=Windows(WindowPolicy.REFUSE))
    assert caught.value.field == "texts[1]"


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.lists(st.sampled_from(TERMS[5:]), min_size=1, max_size=20).map(" ".join), min_size=1, max_size=20)
)
def test_a_text_is_encoded_the_same_in_any_company(service, texts):
    async def both():
        together = await service.encode(texts, pruning=Pruning(), return_terms=True)
        alone = await asyncio.gather(*(service.encode([text], pruning=Pruning(), return_terms=True) for text in texts))
        return together, alone

    together, alone = asyncio.run(both())
    for encoding, single, text in zip(together.encodings, alone, texts, strict=True):
        assert encoding == single.encodings[0]
        assert encoding.vector.by_term() == close_to(expected(text))


async def test_no_texts_no_encodings(service):
    assert (await service.encode([])).encodings == ()
    assert (await service.rerank("w1", [])).results == ()


async def test_texts_of_odd_content(service):
    punctuation, control, emoji = (await service.encode(["?!...", "\x01\x02", "😀"])).encodings
    assert punctuation.tokens == 5
    assert (len(control.vector), control.tokens, control.windows) == (0, 0, 0)
    assert emoji.tokens == 1


@pytest.mark.parametrize(
    ("texts", "error", "field"),
    [
        (["w1", ""], EmptyText, "texts[1]"),
        ([" \n"], EmptyText, "texts[0]"),
        (["w1 \ud83d"], MalformedText, "texts[0]"),
        (["w1 " * 2_000], TextTooLarge, "texts[0]"),
        (["x" * 10_485_760], TextTooLarge, "texts[0]"),
        (["w1"] * 16_385, TooManyTexts, "texts"),
    ],
)
@pytest.mark.parametrize("side", Side)
async def test_unusable_texts(service, texts, error, field, side):
    with pytest.raises(error) as caught:
        await service.encode(texts, side=side)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("query", "documents", "error", "field"),
    [
        ("", ["w1"], EmptyText, "query"),
        ("w1", ["w1", " "], EmptyText, "documents[1]"),
        ("\udfff", ["w1"], MalformedText, "query"),
        ("w1", ["w1 " * 2_000], TextTooLarge, "documents[0]"),
        ("w1", ["w1"] * 16_385, TooManyTexts, "documents"),
    ],
)
async def test_unusable_pairs(service, query, documents, error, field):
    with pytest.raises(error) as caught:
        await service.rerank(query, documents)
    assert caught.value.field == field


async def test_ten_thousand_texts_in_one_call(service):
    texts = [f"w{number % 59} w{number % 31} " * (1 + number % 5) for number in range(10_000)]
    result = await service.encode(texts, lane=Lane.BULK)
    assert len(result.encodings) == 10_000
    for position in (0, 1, 4_999, 9_999):
        single = (await service.encode([texts[position]])).encodings[0]
        assert result.encodings[position] == single


async def test_ten_thousand_texts_through_a_small_queue_while_queries_pass(bundles):
    service = InferenceService.load(bundles[:1], Settings(threads=1, max_queue_tokens=4_096, max_batch_tokens=256))
    try:
        bulk = asyncio.create_task(service.encode(["w1 w2 w3"] * 10_000, lane=Lane.BULK))
        answered = 0
        while not bulk.done():
            await service.encode(["w4"], side=Side.QUERY)
            answered += 1
        assert len((await bulk).encodings) == 10_000
        assert answered > 10
    finally:
        service.close()


async def test_reranking(service, bundles):
    result = await service.rerank("w1 w2", ["w3 w4", "w5", "w58", "w58"])
    assert [document.index for document in result.results] == [2, 3, 0, 1]
    logits = {0: 8 + 9 + 3, 1: 10 + 3, 2: 63 + 3, 3: 63 + 3}
    for document in result.results:
        assert document.logit == pytest.approx(logits[document.index] / 100)
        assert document.score == pytest.approx(1 / (1 + np.exp(-document.logit)))
    assert (result.model, result.fingerprint) == ("arithmetic-cross", bundles[1].fingerprint)


async def test_reranking_without_token_types_and_activation(service):
    result = await service.rerank("w1", ["w3"], model="plain-cross")
    assert result.results[0].score == result.results[0].logit == pytest.approx((2 + 6 + 3 + 8 + 3) / 100)


async def test_reranking_long_documents(service):
    head = await service.rerank("w1", ["w2 " * 50])
    assert (head.results[0].truncated, head.results[0].windows) == (True, 1)
    slid = await service.rerank("w1", ["w2 " * 30 + "w58 " * 5], windows=Windows(WindowPolicy.SLIDE))
    assert not slid.results[0].truncated
    assert slid.results[0].windows > 1
    assert slid.results[0].logit > head.results[0].logit


async def test_models(service, bundles):
    infos = service.models()
    assert [info.name for info in infos] == [bundle.manifest.name for bundle in bundles]
    assert [info.is_default for info in infos] == [True, True, False, False, False]
    assert infos[0].kind is ModelKind.SPARSE_ENCODER
    assert infos[0].document_pruning == Pruning(PruningType.TOP_K, 5)
    assert (infos[0].query_mode, infos[2].query_mode, infos[1].query_mode) == ("neural", "idf", None)
    assert set(service.figures()) == {"arithmetic-sparse", "arithmetic-cross", "arithmetic-idf", "plain-cross"}


async def test_choosing_a_model(service):
    with pytest.raises(UnknownModel, match="nowhere"):
        await service.encode(["w1"], model="nowhere")
    with pytest.raises(UnknownModel) as caught:
        await service.encode(["secret text"], model="x" * 10_000)
    assert len(caught.value.message) < 300
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
