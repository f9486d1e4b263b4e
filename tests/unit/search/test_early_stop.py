"""Reading the head in parts: the page is the one that reading everything gives, and nobody reads on for nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sidecar.domain import RankedDocument, RerankResult, Windows
from sidecar.errors import Overloaded, ProfileInvalid
from sidecar.search import Profile
from sidecar.search.degradation import Degraded
from sidecar.search.rerank import Rerank, is_settled, mixed_with_probabilities, order_by_probability
from sidecar.search.reranking import Head, Reranker

WINDOWS = Windows()
FIELDS = ("text",)
HALF = Rerank(calibrated=True, weight=0.5)

# Coarse values tie often, which is where a page could go wrong.
logits = st.one_of(st.floats(-30.0, 30.0), st.sampled_from([-40.0, -1.0, 0.0, 1.0, 40.0]))
scores = st.one_of(st.floats(0.0, 100.0), st.sampled_from([0.0, 1.0, 2.0]))
heads = st.lists(st.tuples(scores, logits), min_size=1, max_size=24).map(
    lambda pairs: (sorted((first for first, _ in pairs), reverse=True), [logit for _, logit in pairs])
)
weights = st.floats(0.0, 0.99)


def sigmoid(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-logit))


class Judge:
    """Knows a logit for every text, and answers in the order of its scores, as sidecars do."""

    def __init__(self, logits: Sequence[float], *, activation=sigmoid) -> None:
        self.known = {f"text {number}": logit for number, logit in enumerate(logits)}
        self.activation = activation
        self.asked: list[int] = []

    async def rerank(self, query, documents, *, model=None, windows=WINDOWS, timeout=None) -> RerankResult:
        self.asked.append(len(documents))
        found = [
            RankedDocument(index, self.activation(self.known[text]), self.known[text])
            for index, text in enumerate(documents)
        ]
        return RerankResult(tuple(sorted(found, key=lambda one: -one.score)), "judge", "f" * 64)


def head_of(first_stage: Sequence[float]) -> list[Head]:
    return [Head(number, {"text": f"text {number}"}, score) for number, score in enumerate(first_stage)]


@given(head=heads, weight=weights, step=st.integers(1, 8), page=st.integers(1, 12), cut_off=st.none() | st.floats(0, 1))
async def test_the_page_is_the_one_of_reading_everything(head, weight, step, page, cut_off) -> None:
    first, logits = head
    length = len(first) + 3
    policy = Rerank(calibrated=True, weight=weight, cut_off=cut_off)
    whole = await Reranker(Judge(logits), policy).rerank("q", head_of(first), length, FIELDS, 9.0, page=page)
    judge = Judge(logits)
    stopping = Rerank(calibrated=True, weight=weight, cut_off=cut_off, stop_early=step)
    early = await Reranker(judge, stopping).rerank("q", head_of(first), length, FIELDS, 9.0, page=page)
    assert early.order[:page] == whole.order[:page]
    assert all(early.scores[position] == whole.scores[position] for position in early.scores)
    assert sum(judge.asked) == len(early.scores)
    if cut_off is None:
        assert sorted(early.order) == list(range(length))


@given(head=heads, weight=weights)
def test_everything_read_is_settled_and_the_order_is_by_mixed_values(head, weight) -> None:
    first, logits = head
    probabilities = [sigmoid(logit) for logit in logits]
    assert is_settled(first, probabilities, weight, page=1)
    values = mixed_with_probabilities(first, probabilities, weight)
    order = order_by_probability(first, probabilities, weight)
    assert [values[place] for place in order] == sorted(values, reverse=True)
    assert all(-1e-9 <= value <= 1.0 + 1e-9 for value in values)


def test_an_unread_document_counts_as_certain() -> None:
    """Scaled first stage 1, .5, 0: at half shares the second may reach .75, and the third .5."""
    assert not is_settled([3.0, 2.0, 1.0], [0.4], 0.5, page=1)
    assert is_settled([3.0, 2.0, 1.0], [0.5], 0.5, page=1)
    assert not is_settled([3.0, 2.0, 1.0], [0.5], 0.5, page=2)
    assert not is_settled([3.0, 2.0, 1.0], [0.5], 0.5, page=1, cut_off=0.6)


@pytest.mark.parametrize(("page", "read"), [(1, 4), (3, 8), (9, 12)])
async def test_fewer_are_read_for_a_shorter_page(page: int, read: int) -> None:
    first = [float(score) for score in (100, 90, 88, 86, 40, 38, 36, 34, 3, 2, 1, 0)]
    judge = Judge([4.0, -4.0, -4.0, -4.0, 3.0, 3.0, -4.0, -4.0, -4.0, -4.0, -4.0, -4.0])
    policy = HALF.model_copy(update={"stop_early": 4})
    answer = await Reranker(judge, policy).rerank("q", head_of(first), 14, FIELDS, 9.0, page=page)
    assert len(answer.scores) == read
    assert judge.asked == [4] * (read // 4)
    assert answer.order[read:] == tuple(range(read, 14))


async def test_without_a_page_all_are_read() -> None:
    judge = Judge([4.0, -4.0, -4.0])
    policy = HALF.model_copy(update={"stop_early": 1})
    assert len((await Reranker(judge, policy).rerank("q", head_of([9.0, 1.0, 0.0]), 3, FIELDS, 9.0)).scores) == 3
    assert judge.asked == [1, 1, 1]


async def test_scores_of_two_models_are_never_mixed() -> None:
    """A sidecar that was given another model between two parts: everything is read again, by the new one alone."""

    class Changing(Judge):
        async def rerank(self, query, documents, *, model=None, windows=WINDOWS, timeout=None) -> RerankResult:
            answer = await super().rerank(query, documents)
            return replace(answer, fingerprint=("a" if len(self.asked) == 1 else "b") * 64)

    judge = Changing([-4.0, 0.0, 4.0])
    policy = HALF.model_copy(update={"stop_early": 1})
    answer = await Reranker(judge, policy).rerank("q", head_of([3.0, 2.0, 1.0]), 3, FIELDS, 9.0, page=2)
    assert judge.asked == [1, 1, 3]
    assert len(answer.scores) == 3


async def test_a_part_that_fails_leaves_the_first_stage() -> None:
    class Failing(Judge):
        async def rerank(self, query, documents, *, model=None, windows=WINDOWS, timeout=None) -> RerankResult:
            if self.asked:
                raise Overloaded("The queue is full.")
            return await super().rerank(query, documents)

    policy = HALF.model_copy(update={"stop_early": 1})
    answer = await Reranker(Failing([0.0, 0.0]), policy).rerank("q", head_of([2.0, 1.0]), 2, FIELDS, 9.0, page=2)
    assert answer == Degraded("rerank", "OVERLOADED")


async def test_scores_that_are_no_probabilities_are_refused() -> None:
    judge = Judge([0.9, 0.1], activation=lambda logit: logit)
    with pytest.raises(ProfileInvalid, match="no probabilities") as refused:
        await Reranker(judge, HALF).rerank("q", head_of([2.0, 1.0]), 2, FIELDS, 9.0)
    assert refused.value.field == "rerank.calibrated"


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        ({"stop_early": 8}, "needs calibrated"),
        ({"stop_early": 8, "calibrated": True, "weight": 1.0}, "weight below 1"),
        ({"stop_early": 0, "calibrated": True}, "greater than or equal to 1"),
    ],
)
def test_a_policy_without_a_bound_is_refused(policy, why) -> None:
    with pytest.raises(ValidationError, match=why):
        Rerank(**policy)
    with pytest.raises(ProfileInvalid, match=why):
        Profile.parse({"name": "mine", "retrievers": [{"kind": "sparse"}], "rerank": policy})


def test_with_a_weight_of_one_the_logits_decide() -> None:
    """Their probabilities may be equal where they are not."""
    policy = Rerank(calibrated=True, weight=1.0)
    assert policy.apply(["a", "b"], [2.0, 1.0], [40.0, 50.0], [1.0, 1.0]) == ["b", "a"]
