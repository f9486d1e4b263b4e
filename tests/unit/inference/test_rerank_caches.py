"""A reranker with caches says the same as one without, and says it without doing the work again."""

import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.domain import WindowPolicy, Windows
from sidecar.errors import TextTooLong
from sidecar.inference import InferenceService
from sidecar.inference.cross_encoder import Scored
from sidecar.inference.rerank_caches import DocumentTokens, PairScores
from sidecar.inference.tokens import TextTokenizer
from sidecar.settings import Settings
from tests.unit.inference.graphs import cross_bundle, write_tokenizer

NAME = "arithmetic-cross"
WORDS = st.integers(0, 58).map(lambda number: f"w{number}")
TEXTS = st.lists(WORDS, min_size=1, max_size=40).map(" ".join)
POLICIES = st.sampled_from([Windows(), Windows(WindowPolicy.SLIDE), Windows(WindowPolicy.SLIDE, stride=5)])


def load(folder, **given: int) -> InferenceService:
    made = InferenceService.load([cross_bundle(folder, name=NAME)], Settings(threads=1, **given))
    made.warm_up()
    return made


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    """Without caches, with the tokens' cache, with both, and with both so small that they always forget."""
    root = tmp_path_factory.mktemp("services")
    made = [
        load(root / "plain", rerank_cache_bytes=0),
        load(root / "tokens", rerank_cache_bytes=1 << 20),
        load(root / "both", rerank_cache_bytes=1 << 20, rerank_score_cache=1_000),
        load(root / "small", rerank_cache_bytes=2_000, rerank_score_cache=2),
    ]
    yield made
    for service in made:
        service.close()


def caches(service):
    return service.cache_figures()[NAME]


@given(query=TEXTS, documents=st.lists(TEXTS, min_size=1, max_size=8), windows=POLICIES, again=st.randoms())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_same_scores_with_and_without_caches(services, query, documents, windows, again):
    plain, *cached = services
    shuffled = [*documents, *again.choices(documents, k=2)]
    for texts in (documents, shuffled, documents):
        expected = (await plain.rerank(query, texts, windows=windows)).results
        for service in cached:
            assert (await service.rerank(query, texts, windows=windows)).results == expected


async def test_documents_are_tokenised_once(tmp_path):
    service = load(tmp_path / "once")
    await service.rerank("w1", ["w2 w3", "w4"])
    assert (caches(service)["documents"].hits, caches(service)["documents"].misses) == (0, 2)
    await service.rerank("w9", ["w4", "w2 w3", "w5"])
    assert (caches(service)["documents"].hits, caches(service)["documents"].misses) == (2, 3)
    assert caches(service)["pairs"].misses == 0
    service.close()


async def test_known_pairs_are_not_run_again(tmp_path):
    service = load(tmp_path / "pairs", rerank_score_cache=10)
    first = await service.rerank("w1", ["w2 w3", "w4"])
    items = service.figures()[NAME].items
    second = await service.rerank("w1", ["w4", "w2 w3"])
    assert service.figures()[NAME].items == items
    assert {one.logit for one in first.results} == {one.logit for one in second.results}
    assert second.timings.inference_us == 0
    third = await service.rerank("w1", ["w4", "w8", "w2 w3"])
    assert service.figures()[NAME].items == items + 1
    assert sorted(one.index for one in third.results) == [0, 1, 2]
    assert caches(service)["pairs"].used == 3
    service.close()


async def test_another_window_policy_is_another_score(tmp_path):
    service = load(tmp_path / "policies", rerank_score_cache=10)
    text = " ".join(f"w{number}" for number in range(40))
    cut = (await service.rerank("w1", [text])).results[0]
    slid = (await service.rerank("w1", [text], windows=Windows(WindowPolicy.SLIDE))).results[0]
    assert (cut.truncated, cut.windows) == (True, 1)
    assert (slid.truncated, slid.windows) == (False, 5)
    service.close()


async def test_errors_name_the_place_in_the_call_and_not_among_the_unknown(tmp_path):
    service = load(tmp_path / "errors", rerank_score_cache=10)
    refuse = Windows(WindowPolicy.REFUSE)
    await service.rerank("w1", ["w2"], windows=refuse)
    with pytest.raises(TextTooLong) as caught:
        await service.rerank("w1", ["w2", "w3 " * 40], windows=refuse)
    assert caught.value.field == "documents[1]"
    service.close()


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    write_tokenizer(path)
    return TextTokenizer(path)


@given(st.lists(TEXTS, max_size=12), st.integers(0, 4_000))
@settings(deadline=None)
def test_remembered_ids_are_the_tokenizers(tokenizer, texts, capacity):
    kept = DocumentTokens(tokenizer, capacity)
    for _ in range(2):
        found = kept.ids_of_all(texts, threading.Event())
        assert [ids.tolist() for ids in found] == [ids.tolist() for ids in tokenizer.ids_of_all(texts)]
        assert all(ids.dtype == np.int32 for ids in found)
        assert kept.figures().used <= capacity


def test_pairs_are_forgotten_beyond_the_capacity():
    scores = PairScores(2)
    keys = scores.keys("q", ["a", "b", "c"], Windows())
    scores.remember(keys, {place: Scored(float(place), False, 1) for place in range(3)})
    assert set(scores.known(keys)) == {1, 2}


def test_without_capacity_no_key_is_made():
    scores = PairScores(0)
    assert not scores
    assert scores.keys("q", ["a"], Windows()) == []
    assert scores.known([]) == {}
