"""The whole core over graphs whose arithmetic is known."""

import asyncio
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.domain import Lane, Pruning, Side, WindowPolicy, Windows
from sidecar.errors import (
    EmptyText,
    MalformedText,
    TextTooLarge,
    TextTooLong,
    TooManyTexts,
    WrongModelKind,
)
from sidecar.inference import InferenceService
from sidecar.settings import Settings
from tests.unit.inference.graphs import TERMS, close_to, expected


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
