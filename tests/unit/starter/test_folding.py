"""Folding a vocabulary by stem, and the lexical floor over it."""

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import BertPreTokenizer

from scripts.starter.floor import OwnTerms
from scripts.starter.folding import english_folding
from scripts.starter.recipe import FloorRecipe
from scripts.starter.tokens import TokenTable

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[unused1]"]
WORDS = [*SPECIAL, "retrieval", "retrieving", "retrieved", "the", "of", "s", "##s", "##ing", ",", "!"]
WORDS += ["wing", "wings", "7", "##7", "virus"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    made = Tokenizer(WordPiece({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = BertPreTokenizer()
    return made


@pytest.fixture(scope="module")
def folding(tokenizer: Tokenizer):
    frequencies = np.ones(len(WORDS), dtype=np.int64)
    frequencies[WORDS.index("retrieving")] = 9
    return english_folding(tokenizer.get_vocab(), frequencies)


def test_words_of_one_stem_are_one_term_named_by_the_most_frequent(folding) -> None:
    named = folding.named(WORDS)
    assert named["retrieved"] == named["retrieval"] == "retrieving"
    assert "retrieving" not in named
    assert {named.get("wing", "wing"), named.get("wings", "wings")} in ({"wing"}, {"wings"})


def test_function_words_punctuation_and_remnants_are_no_terms(folding) -> None:
    named = folding.named(WORDS)
    assert [word for word, target in named.items() if target is None] == ["the", "of", "s", ",", "!"]
    terms = {WORDS[column] for column in folding.columns}
    assert {"7", "##7", "##s", "##ing", "virus"} <= terms
    assert not terms & {"[PAD]", "[CLS]", "[unused1]", "the"}


def test_own_terms_count_after_folding(tokenizer: Tokenizer, folding) -> None:
    own = OwnTerms.of(TokenTable(["retrieved the retrieving , wings", "the of", "virus"], tokenizer), folding)
    assert own.lengths.tolist() == [3.0, 0.0, 1.0]
    column = int(np.searchsorted(own.columns, WORDS.index("retrieving")))
    assert own.counts[0, column] == 2
    assert own.present(np.asarray([0]))[0, column] == 1
    assert own.average_length == pytest.approx(4 / 3)


def test_saturation_by_hand(tokenizer: Tokenizer, folding) -> None:
    own = OwnTerms.of(TokenTable(["retrieved retrieving virus", "virus"], tokenizer), folding)
    floor = own.saturated(np.asarray([0, 1]), FloorRecipe(k1=1.2, b=0.75), average_length=2.0).toarray()
    retrieving = int(np.searchsorted(own.columns, WORDS.index("retrieving")))
    virus = int(np.searchsorted(own.columns, WORDS.index("virus")))
    assert floor[0, retrieving] == pytest.approx(2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 1.5)), rel=1e-5)
    assert floor[1, virus] == pytest.approx(2.2 / (1 + 1.2 * (0.25 + 0.75 * 0.5)), rel=1e-5)
    assert np.count_nonzero(floor) == 3
