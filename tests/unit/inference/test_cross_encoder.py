import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from sidecar.bundle import ScoreActivation
from sidecar.domain import WindowPolicy, Windows
from sidecar.errors import InferenceFailed, InvalidInput, TextTooLong
from sidecar.inference.cross_encoder import PairItems, ScoreRows, Scores, sigmoid
from sidecar.inference.sessions import OnnxSession
from sidecar.inference.tokens import TextTokenizer
from tests.unit.inference.graphs import cross_bundle, term_id, write_tokenizer

SLIDE = Windows(WindowPolicy.SLIDE)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    write_tokenizer(path)
    return TextTokenizer(path)


def pairs(tokenizer, query, documents, *, max_tokens=16, query_max_tokens=None, windows=None) -> PairItems:
    return PairItems(
        tokenizer.ids(query),
        [tokenizer.ids(document) for document in documents],
        tokenizer=tokenizer,
        max_tokens=max_tokens,
        query_max_tokens=query_max_tokens,
        windows=windows or Windows(),
    )


def words(tokenizer, item) -> str:
    return " ".join(tokenizer.terms[number] for number in item.ids)


def test_short_pairs_are_whole(tokenizer):
    made = pairs(tokenizer, "w1", ["w2 w3", "w4"])
    assert [words(tokenizer, item) for item in made.items] == ["[CLS] w1 [SEP] w2 w3 [SEP]", "[CLS] w1 [SEP] w4 [SEP]"]
    assert [item.second for item in made.items] == [3, 3]
    assert [item.tokens for item in made.items] == [8, 8]
    assert not made.query_cut


def test_windows_that_overlap_too_far_are_refused_before_they_are_laid_out(tokenizer, monkeypatch):
    monkeypatch.setattr("sidecar.inference.windows.MOST_TOKENS", 10_000)
    monkeypatch.setattr(tokenizer, "frame_pair", lambda query, document: pytest.fail("laid out"))
    with pytest.raises(InvalidInput) as caught:
        pairs(tokenizer, "w1", ["w2 " * 2_000], windows=Windows(WindowPolicy.SLIDE, stride=1, max_windows=2_000))
    assert caught.value.field == "windows"


def test_the_document_is_cut_the_query_is_kept(tokenizer):
    (item,) = pairs(tokenizer, "w1 w2", ["w3 " * 30]).items
    assert words(tokenizer, item) == "[CLS] w1 w2 [SEP] " + "w3 " * 11 + "[SEP]"


def test_a_long_query_keeps_half(tokenizer):
    made = pairs(tokenizer, "w1 " * 30, ["w2 " * 30])
    assert words(tokenizer, made.items[0]) == "[CLS] " + "w1 " * 6 + "[SEP] " + "w2 " * 7 + "[SEP]"
    assert made.query_cut


def test_the_manifests_query_length_is_kept(tokenizer):
    made = pairs(tokenizer, "w1 " * 30, ["w2 " * 30], query_max_tokens=2)
    assert words(tokenizer, made.items[0]) == "[CLS] w1 w1 [SEP] " + "w2 " * 11 + "[SEP]"
    assert made.query_cut


def test_windows_slide_over_the_document_alone(tokenizer):
    made = pairs(tokenizer, "w1 w2", [" ".join(f"w{number}" for number in range(10, 30))], windows=SLIDE)
    assert [len(item.ids) for item in made.items] == [16, 16, 9]
    assert all(words(tokenizer, item).startswith("[CLS] w1 w2 [SEP] ") for item in made.items)
    assert made.cuts[0].tokens == 20


def test_refusal_covers_query_and_documents(tokenizer):
    refuse = Windows(WindowPolicy.REFUSE)
    with pytest.raises(TextTooLong) as caught:
        pairs(tokenizer, "w1", ["w2", "w3 " * 40], windows=refuse)
    assert caught.value.field == "documents[1]"
    with pytest.raises(TextTooLong) as caught:
        pairs(tokenizer, "w1 " * 40, ["w2"], windows=refuse)
    assert caught.value.field == "query"


def test_a_document_without_tokens_still_gets_a_pair(tokenizer):
    made = pairs(tokenizer, "w1", ["\x01", "w2"])
    assert [words(tokenizer, item) for item in made.items] == ["[CLS] w1 [SEP] [SEP]", "[CLS] w1 [SEP] w2 [SEP]"]


@given(query=st.integers(1, 6), document=st.integers(1, 40))
def test_truncation_as_transformers_does_it_for_the_document_only(tokenizer, query, document):
    theirs = PreTrainedTokenizerFast(tokenizer_object=tokenizer._tokenizer, pad_token="[PAD]")
    expected = theirs("w1 " * query, "w2 " * document, truncation="only_second", max_length=16)
    tokenizer._tokenizer.no_truncation()
    (item,) = pairs(tokenizer, "w1 " * query, ["w2 " * document]).items
    assert item.ids.tolist() == expected["input_ids"]


@given(st.integers(0, 40), st.lists(st.integers(0, 60), min_size=1, max_size=6), st.booleans())
def test_no_pair_is_longer_than_the_model_reads(tokenizer, query, documents, slide):
    made = pairs(tokenizer, "w1 " * query, ["w2 " * count for count in documents], windows=SLIDE if slide else None)
    assert all(len(item.ids) <= item.tokens <= 16 for item in made.items)
    assert [item.slot for item in made.items] == list(range(len(made.items)))


def collect(made, logits, activation=ScoreActivation.IDENTITY):
    scores = Scores(made, activation)
    for slot, logit in enumerate(logits):
        scores.deliver(slot, logit)
    return scores.result()


def test_descending_with_ties_by_index(tokenizer):
    ranked = collect(pairs(tokenizer, "w1", ["w2", "w3", "w4", "w5"]), [0.5, 2.0, 0.5, -1.0])
    assert [(document.index, document.score) for document in ranked] == [(1, 2.0), (0, 0.5), (2, 0.5), (3, -1.0)]


def test_the_best_window_counts(tokenizer):
    made = pairs(tokenizer, "w1", ["w2 " * 20, "w3"], windows=SLIDE)
    assert len(made.items) == 3
    ranked = collect(made, [-5.0, 3.0, 1.0])
    assert [(document.index, document.logit, document.windows) for document in ranked] == [(0, 3.0, 2), (1, 1.0, 1)]


def test_sigmoid_keeps_the_logit(tokenizer):
    (document,) = collect(pairs(tokenizer, "w1", ["w2"]), [2.0], ScoreActivation.SIGMOID)
    assert document.logit == 2.0
    assert document.score == pytest.approx(1 / (1 + math.exp(-2)))


def test_saturated_scores_keep_the_order_of_the_logits(tokenizer):
    ranked = collect(pairs(tokenizer, "w1", ["w2", "w3", "w4"]), [50.0, 800.0, 60.0], ScoreActivation.SIGMOID)
    assert [document.index for document in ranked] == [1, 2, 0]
    assert [document.score for document in ranked] == [1.0, 1.0, 1.0]


def test_flags(tokenizer):
    long_query = collect(pairs(tokenizer, "w1 " * 9, ["w2"]), [1.0])
    long_document = collect(pairs(tokenizer, "w1", ["w2 " * 90, "w2"]), [1.0, 0.0])
    assert [document.truncated for document in long_query] == [True]
    assert [document.truncated for document in long_document] == [True, False]


@given(st.floats(-1e6, 1e6))
def test_sigmoid_is_bounded_and_symmetric(logit):
    assert 0.0 <= sigmoid(logit) <= 1.0
    assert sigmoid(logit) + sigmoid(-logit) == pytest.approx(1.0)


def test_a_score_that_is_no_number_fails_its_own_pair(tmp_path, tokenizer):
    worth = np.arange(len(tokenizer.terms)) / 100
    worth[term_id("w5")] = np.nan
    worth[term_id("w6")] = np.inf
    bundle = cross_bundle(tmp_path, worth=worth)
    session = OnnxSession(bundle.file("model.onnx"), bundle.manifest.graph, name="test", threads=1, pad_id=0)
    rows = ScoreRows(session)(pairs(tokenizer, "w1", ["w5", "w2", "w6"]).items)
    assert [isinstance(row, InferenceFailed) for row in rows] == [True, False, True]
    assert rows[1] == pytest.approx(worth[term_id("w2")] + 0.03)
