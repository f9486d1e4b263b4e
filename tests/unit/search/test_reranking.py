"""The second stage's bookkeeping, over a cross-encoder of known arithmetic: the longer the text, the better."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import EncodeResult, Pruning, RankedDocument, RerankResult, Side, Windows
from sidecar.errors import WIRE, SidecarError, UnknownModel, WrongModelKind
from sidecar.search.degradation import Degraded
from sidecar.search.rerank import Rerank
from sidecar.search.reranking import MAX_CHARACTERS, Head, Reranked, Reranker

WINDOWS = Windows()
FIELDS = ("title", "text")
RAISED = (UnknownModel, WrongModelKind)


class Lengths:
    """Scores a document by its length; raises `error` instead, if it has one. Keeps what it was sent."""

    def __init__(self, error: SidecarError | None = None) -> None:
        self.error = error
        self.sent: list[tuple[str, tuple[str, ...], str | None, Windows]] = []

    async def encode(
        self,
        texts: Sequence[str],
        *,
        side: Side,
        model: str | None = None,
        pruning: Pruning | None = None,
        return_terms: bool = False,
        expected_fingerprint: str | None = None,
        timeout: float | None = None,
    ) -> EncodeResult:
        raise AssertionError("Nobody encodes here.")

    async def rerank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        model: str | None = None,
        windows: Windows = WINDOWS,
        timeout: float | None = None,
    ) -> RerankResult:
        self.sent.append((query, tuple(documents), model, windows))
        if self.error is not None:
            raise self.error
        scored = [RankedDocument(index, float(len(text)), 2.0 * len(text)) for index, text in enumerate(documents)]
        return RerankResult(tuple(sorted(scored, key=lambda one: -one.score)), "lengths", "f" * 64)


def _head(*texts: str) -> list[Head]:
    return [Head(position, {"text": text}, 100.0 - position) for position, text in enumerate(texts)]


async def test_the_new_order_and_everyones_score() -> None:
    sidecar = Lengths()
    answer = await Reranker(sidecar, Rerank(weight=1.0)).rerank("q", _head("aa", "aaaa", "a"), 5, FIELDS, 1.0)
    assert answer == Reranked((1, 0, 2, 3, 4), {0: 2.0, 1: 4.0, 2: 1.0})


async def test_what_has_no_text_stays_right_below_the_head() -> None:
    sidecar = Lengths()
    answer = await Reranker(sidecar, Rerank(weight=1.0)).rerank("q", _head("a", "", "aaa", "  "), 6, FIELDS, 1.0)
    assert answer == Reranked((2, 0, 1, 3, 4, 5), {0: 1.0, 2: 3.0})
    assert sidecar.sent[0][1] == ("a", "aaa")


async def test_nobody_is_asked_about_nothing() -> None:
    sidecar = Lengths()
    assert await Reranker(sidecar, Rerank(weight=1.0)).rerank("q", _head("", ""), 3, FIELDS, 1.0) == Reranked(
        (0, 1, 2), {}
    )
    assert await Reranker(sidecar, Rerank(weight=1.0)).rerank("q", [], 0, FIELDS, 1.0) == Reranked((), {})
    assert sidecar.sent == []


async def test_the_policy_reaches_the_sidecar_and_long_texts_are_cut() -> None:
    sidecar = Lengths()
    policy = Rerank(model="mine", windows="slide", max_windows=3)
    head = [Head(0, {"title": "T", "text": "x" * 50_000, "other": "unseen"}, 1.0)]
    await Reranker(sidecar, policy).rerank("the query", head, 1, FIELDS, 1.0)
    ((query, texts, model, windows),) = sidecar.sent
    assert (query, model, windows.policy, windows.max_windows) == ("the query", "mine", "slide", 3)
    assert texts[0].startswith("T xxx")
    assert len(texts[0]) == MAX_CHARACTERS


@pytest.mark.parametrize("kind", sorted(WIRE, key=lambda kind: kind.__name__))
async def test_every_error_is_raised_or_declared(kind: type[SidecarError]) -> None:
    reranker = Reranker(Lengths(kind("broken")), Rerank())
    if issubclass(kind, RAISED):
        with pytest.raises(kind):
            await reranker.rerank("q", _head("a"), 1, FIELDS, 1.0)
    else:
        answer = await reranker.rerank("q", _head("a"), 1, FIELDS, 1.0)
        assert answer == Degraded("rerank", WIRE[kind].reason)


async def test_our_own_bugs_are_not_degradations() -> None:
    class Buggy(Lengths):
        async def rerank(self, query, documents, *, model=None, windows=WINDOWS, timeout=None):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Reranker(Buggy(), Rerank()).rerank("q", _head("a"), 1, FIELDS, 1.0)


@given(
    texts=st.lists(st.text(alphabet="ab ", max_size=6), max_size=10),
    tail=st.integers(0, 5),
    weight=st.floats(0.0, 1.0),
)
async def test_positions_are_never_lost_or_doubled(texts, tail, weight) -> None:
    length = len(texts) + tail
    answer = await Reranker(Lengths(), Rerank(weight=weight)).rerank("q", _head(*texts), length, FIELDS, 1.0)
    assert sorted(answer.order) == list(range(length))
    assert list(answer.order[len(texts) :]) == list(range(len(texts), length))
    assert set(answer.scores) == {number for number, text in enumerate(texts) if text.strip()}


async def test_half_a_character_in_one_document_costs_no_other_its_place() -> None:
    sidecar = Lengths()
    answer = await Reranker(sidecar, Rerank(weight=1.0)).rerank("q", _head("a", "aa \ud800"), 2, FIELDS, 1.0)
    assert answer == Reranked((1, 0), {0: 1.0, 1: 4.0})
    assert sidecar.sent[0][1] == ("a", "aa ?")


async def test_a_cut_off_leaves_nothing_of_what_could_not_be_read() -> None:
    sidecar = Lengths()
    assert await Reranker(sidecar, Rerank(cut_off=0.5)).rerank("q", _head("", ""), 3, FIELDS, 1.0) == Reranked((), {})
    assert await Reranker(sidecar, Rerank(weight=1.0, cut_off=1.5)).rerank(
        "q", _head("a", "", "aa"), 4, FIELDS, 1.0
    ) == Reranked((2,), {0: 1.0, 2: 2.0})
