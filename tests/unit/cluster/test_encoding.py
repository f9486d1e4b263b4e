"""Encoding a stream of documents: one unusable text costs its own document, and each document is answered once."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.cluster.encoding import PASSAGES_AT_ONCE, STALL_SECONDS, Encoded, Texts, encode_documents, refusal
from sidecar.domain import Lane, Pruning, PruningType, Side, SparseVector, WindowPolicy, Windows
from sidecar.engine import IndexMeta, PassageRule
from sidecar.errors import (
    EmptyText,
    FingerprintMismatch,
    InferenceFailed,
    InvalidInput,
    MalformedText,
    SidecarError,
    SidecarUnavailable,
    TextTooLarge,
    TextTooLong,
)
from tests.unit.cluster.scripted import ScriptedSidecar

META = IndexMeta(fingerprint="aa" * 32, bundle="model", pruning=Pruning(PruningType.TOP_K, 5))
CUT = META.model_copy(update={"passages": PassageRule(words=2, stride=1, limit=4)})
TRUNCATE = Windows()


async def encoded(
    sidecar: ScriptedSidecar, batches: Sequence[Sequence[str]], meta: IndexMeta = META
) -> dict[tuple[int, int], Encoded[tuple[int, int]]]:
    """Each document's answer, by batch and place; every one of them exactly once."""

    async def given() -> AsyncIterator[Texts[tuple[int, int]]]:
        for number, texts in enumerate(batches):
            yield Texts(tuple((number, place) for place in range(len(texts))), tuple(texts))

    found: list[Encoded[tuple[int, int]]] = []
    async for answered in encode_documents(sidecar.client, given(), meta, model="model", windows=TRUNCATE, in_flight=4):
        found += answered
    wanted = Counter((number, place) for number, texts in enumerate(batches) for place in range(len(texts)))
    assert Counter(one.record for one in found) == wanted
    return {one.record: one for one in found}


BAD: Mapping[str, SidecarError] = {
    "bad": TextTooLong("The text is too long."),
    "worse": MalformedText("No Unicode."),
    "empty": EmptyText("No text."),
}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["a", "bb", "a longer text of words", *BAD]), max_size=6), max_size=4))
async def test_a_bad_text_costs_its_own_document_alone(batches: list[list[str]]) -> None:
    done = await encoded(ScriptedSidecar(refused=BAD), batches)
    for number, texts in enumerate(batches):
        for place, text in enumerate(texts):
            one = done[(number, place)]
            assert one.text == text
            if text in BAD:
                assert type(one.error) is type(BAD[text])
                assert one.vector is None
            else:
                assert one.error is None
                assert isinstance(one.vector, SparseVector)
                assert one.vector.weights == (float(len(text)),), "each document has its own text's vector"
                assert one.truncated == (len(text) > 20)


async def test_what_is_asked_of_the_sidecar() -> None:
    sidecar = ScriptedSidecar()
    await encoded(sidecar, [["a"], ["b", "c"]])
    assert sidecar.streamed == [["a"], ["b", "c"]]
    (options,) = sidecar.options
    assert options == {
        "side": Side.DOCUMENT,
        "model": "model",
        "pruning": META.pruning,
        "windows": TRUNCATE,
        "lane": Lane.BULK,
        "return_terms": True,
        "expected_fingerprint": META.fingerprint,
        "in_flight": 4,
        "stall_timeout": STALL_SECONDS,
    }


async def test_the_rest_of_a_batch_is_sent_once_more_without_the_bad_one() -> None:
    sidecar = ScriptedSidecar(refused=BAD)
    await encoded(sidecar, [["a", "bad", "b", "worse", "c"]])
    assert sidecar.called == [["a", "b", "worse", "c"], ["a", "b", "c"]]


@pytest.mark.parametrize("error", [InferenceFailed("The model failed on this call."), InvalidInput("No text named.")])
async def test_a_text_that_the_model_fails_on_is_found_by_halves(error: SidecarError) -> None:
    class Nameless(ScriptedSidecar):
        def _result(self, texts):
            if "b" in texts:
                raise error
            return super()._result(texts)

    sidecar = Nameless(refused=BAD)
    done = await encoded(sidecar, [["a", "bad", "b", "c", "d"], ["e"]])
    assert {place: type(one.error) for place, one in done.items() if one.error is not None} == {
        (0, 1): TextTooLong,
        (0, 2): type(error),
    }
    assert all(len(texts) < 5 for texts in sidecar.called)
    assert len(sidecar.called) == 5


async def test_a_model_that_fails_on_everything_is_asked_twice_for_each_text_at_most() -> None:
    error = InferenceFailed("The model failed on this call.")
    texts = [f"text {number}" for number in range(32)]
    sidecar = ScriptedSidecar(refused=dict.fromkeys(texts, error))
    done = await encoded(sidecar, [texts])
    assert {one.error for one in done.values()} == {error}
    assert len(sidecar.called) == 2 * 32 - 2


async def test_an_error_that_names_a_text_that_was_not_sent_ends() -> None:
    class Elsewhere(ScriptedSidecar):
        def _result(self, texts):
            raise InvalidInput("No.", field="texts[7]")

    done = await encoded(Elsewhere(), [["a", "b"]])
    assert all(isinstance(one.error, InvalidInput) for one in done.values())


@pytest.mark.parametrize("error", [SidecarUnavailable("gone"), FingerprintMismatch("another model")])
async def test_a_sidecar_that_is_gone_ends_the_stream(error: SidecarError) -> None:
    with pytest.raises(type(error)):
        await encoded(ScriptedSidecar(refused={"b": error}), [["a", "b"]])
    away = ScriptedSidecar()
    away.gone = error
    with pytest.raises(type(error)):
        await encoded(away, [["a"]])


async def test_passages_of_a_document_stay_together_and_keep_their_vectors() -> None:
    done = await encoded(ScriptedSidecar(), [["one two three", "alone"]], CUT)
    first, second = done[(0, 0)].vector, done[(0, 1)].vector
    assert isinstance(first, tuple)
    assert isinstance(second, tuple)
    assert [(one.passage.start, one.passage.text, one.vector.weights) for one in first] == [
        (0, "one two", (7.0,)),
        (4, "two three", (9.0,)),
    ]
    assert [one.passage.text for one in second] == ["alone"]


async def test_a_bad_passage_costs_its_own_document_alone() -> None:
    sidecar = ScriptedSidecar(refused={"two bad": TextTooLong("too long")})
    done = await encoded(sidecar, [["a b c", "one two bad", "d e"]], CUT)
    assert isinstance(done[(0, 1)].error, TextTooLong)
    assert done[(0, 0)].error is done[(0, 2)].error is None
    assert sidecar.called == [["a b", "b c", "d e"]]


async def test_what_lies_behind_the_last_passage_is_told() -> None:
    done = await encoded(ScriptedSidecar(), [["a b c d e", "a b c d e f g"]], CUT)
    assert [done[(0, place)].truncated for place in range(2)] == [False, True]


@pytest.mark.parametrize("documents", [1, 20, 40])
async def test_a_message_holds_about_so_many_passages(documents: int) -> None:
    sidecar = ScriptedSidecar()
    await encoded(sidecar, [["a b c d e"] * documents], CUT)
    assert sum(len(texts) for texts in sidecar.streamed) == documents * 4
    assert all(len(texts) <= PASSAGES_AT_ONCE for texts in sidecar.streamed)
    assert all(len(texts) % 4 == 0 for texts in sidecar.streamed), "no document is in two messages"


async def test_another_number_of_encodings_is_not_matched_up() -> None:
    class Short(ScriptedSidecar):
        def _result(self, texts):
            return super()._result(texts[:-1])

    with pytest.raises(InferenceFailed, match="another number of encodings"):
        await encoded(Short(), [["a", "b"]])


@pytest.mark.parametrize(
    ("text", "rule", "policy", "limit", "refused"),
    [
        ("abc", None, WindowPolicy.TRUNCATE, 3, None),
        ("abc", None, WindowPolicy.TRUNCATE, 2, TextTooLarge),
        ("äb", None, WindowPolicy.TRUNCATE, 2, TextTooLarge),
        ("\ud800", None, WindowPolicy.TRUNCATE, 2, TextTooLarge),
        ("a b c d e", CUT.passages, WindowPolicy.REFUSE, 99, None),
        ("a b c d e f", CUT.passages, WindowPolicy.REFUSE, 99, TextTooLong),
        ("a b c d e f", CUT.passages, WindowPolicy.TRUNCATE, 99, None),
        ("a b c d e f", None, WindowPolicy.REFUSE, 99, None),
    ],
)
def test_what_is_not_sent_at_all(
    text: str, rule: PassageRule | None, policy: WindowPolicy, limit: int, refused: type[InvalidInput] | None
) -> None:
    error = refusal(text, rule, Windows(policy), limit)
    assert (type(error) if error is not None else None) is refused
    assert error is None or text not in error.message
