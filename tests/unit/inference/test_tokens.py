"""Tokenising against transformers' own tokenizers, over the same files."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from sidecar.errors import BundleCorrupt, InferenceFailed
from sidecar.inference.tokens import CHUNK_TEXTS, SHORT_CHARACTERS, TextTokenizer
from tests.unit.inference.graphs import SPECIALS, TERMS, term_id, write_tokenizer

TEXTS = ["w1 w2", "w3", "unheard of w4!", "w5 " * 40, "W7 w8,w9", "[SEP] w1", "..."]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    write_tokenizer(file)
    return file


@pytest.fixture(scope="module")
def ours(path):
    return TextTokenizer(path)


@pytest.fixture(scope="module")
def theirs(path):
    return PreTrainedTokenizerFast(
        tokenizer_file=str(path),
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def test_the_files_own_truncation_and_padding_are_off(ours):
    assert len(ours.ids("w1 " * 100)) == 100
    assert len(ours.ids("w1")) == 1
    assert [len(ids) for ids in ours.ids_of_all(["w1 " * 9, "w2"])] == [9, 1]


def test_a_long_text_has_the_ids_of_its_words(ours):
    words = [f"w{number % 7}" for number in range(SHORT_CHARACTERS)]
    for count in (SHORT_CHARACTERS // 3, SHORT_CHARACTERS):
        text = " ".join(words[:count])
        assert ours.ids(text).tolist() == [term_id(word) for word in words[:count]]


def test_a_long_text_does_not_keep_the_other_threads_waiting(ours):
    turns = 0
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(ours.ids, "w1 . " * 200_000)
        while not reading.done():
            time.sleep(0.001)
            turns += 1
    assert reading.result().size == 400_000
    # With the interpreter's lock held all the while there are two or three: before, and after.
    assert turns > 10


@pytest.mark.parametrize("text", TEXTS)
def test_one_text_as_transformers_frames_it(ours, theirs, text):
    assert ours.frame(ours.ids(text)).tolist() == theirs(text, truncation=False)["input_ids"]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("query", ["w1", "w2 w3 w4"])
def test_a_pair_as_transformers_frames_it(ours, theirs, query, text):
    whole, second = ours.frame_pair(ours.ids(query), ours.ids(text))
    expected = theirs(query, text, truncation=False, return_token_type_ids=True)
    assert whole.tolist() == expected["input_ids"]
    assert [int(position >= second) for position in range(len(whole))] == expected["token_type_ids"]


@pytest.mark.parametrize("longest", [3, 4, 10, 16])
def test_truncation_as_transformers_truncates(ours, theirs, longest):
    for text in TEXTS:
        cut = ours.ids(text)[: longest - ours.single_specials]
        expected = theirs(text, truncation=True, max_length=longest)["input_ids"]
        assert ours.frame(cut).tolist() == expected


def test_a_batch_is_what_its_texts_are(ours):
    texts = [f"w{number % 59} " * (1 + number % 7) for number in range(3 * CHUNK_TEXTS + 5)]
    for ids, text in zip(ours.ids_of_all(texts), texts, strict=True):
        assert ids.tolist() == ours.ids(text).tolist()
        assert ids.dtype == np.int32


def test_no_texts(ours):
    assert ours.ids_of_all([]) == []


def test_special_tokens(ours):
    assert ours.special_ids == {term_id(name) for name in SPECIALS}
    assert ours.pad_id == term_id("[PAD]")
    assert (ours.single_specials, ours.pair_specials) == (2, 3)
    assert ours.terms == TERMS
    assert ours.id_of("w3") == term_id("w3")
    assert ours.id_of("nowhere") is None


def test_control_characters_leave_nothing(ours):
    assert ours.ids("\x00\x01\x7f").size == 0


def test_many_threads_at_once(ours):
    """The failure "Already borrowed" comes from changing a tokenizer in use; ours never is."""
    texts = [f"w{number % 59} w{number % 31}" for number in range(400)]
    with ThreadPoolExecutor(16) as pool:
        singles = list(pool.map(ours.ids, texts))
        batches = list(pool.map(lambda _: ours.ids_of_all(texts), range(16)))
    for batch in batches:
        assert [ids.tolist() for ids in batch] == [ids.tolist() for ids in singles]


def test_a_tokenizer_without_special_tokens(tmp_path):
    Tokenizer(models.WordLevel({"alpha": 0, "beta": 3}, unk_token="alpha")).save(str(tmp_path / "tokenizer.json"))
    tokenizer = TextTokenizer(tmp_path / "tokenizer.json")
    ids = np.array([3], dtype=np.int32)
    assert (tokenizer.single_specials, tokenizer.pair_specials) == (0, 0)
    assert tokenizer.frame(ids).tolist() == [3]
    assert tokenizer.frame_pair(ids, ids)[0].tolist() == [3, 3]
    assert tokenizer.terms == ("alpha", None, None, "beta")
    assert tokenizer.special_ids == frozenset()


def test_a_vocabulary_without_the_letter_a(tmp_path):
    Tokenizer(models.WordLevel({"omega": 0})).save(str(tmp_path / "tokenizer.json"))
    assert TextTokenizer(tmp_path / "tokenizer.json").single_specials == 0


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"version": "1.0"}'])
def test_what_is_no_tokenizer_is_refused(tmp_path, content):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(BundleCorrupt):
        TextTokenizer(tmp_path / "tokenizer.json")


def test_a_text_that_the_tokenizer_can_not_take_fails_without_quoting_it(tmp_path):
    Tokenizer(models.WordLevel({"omega": 0})).save(str(tmp_path / "tokenizer.json"))
    tokenizer = TextTokenizer(tmp_path / "tokenizer.json")
    with pytest.raises(InferenceFailed) as caught:
        tokenizer.ids_of_all(["omega", "secret"])
    assert "secret" not in str(caught.value)


def test_an_empty_vocabulary_is_refused(tmp_path):
    Tokenizer(models.WordLevel({})).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(BundleCorrupt):
        TextTokenizer(tmp_path / "tokenizer.json")
