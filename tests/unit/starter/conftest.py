"""A training in miniature: sixty short documents, a word-level tokenizer and a BERT of two thin layers."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import BertConfig, BertForMaskedLM

from scripts.starter.batches import Batcher
from scripts.starter.corpus import Corpus, Document, TrainingQuery
from scripts.starter.folding import Folding, fold_by_stem
from scripts.starter.idf import Frequencies, inverse_document_frequencies
from scripts.starter.lexical import LexicalTeacher
from scripts.starter.recipe import FloorRecipe, SparseRecipe, TeacherRecipe
from scripts.starter.sparse_texts import SparseTexts
from scripts.starter.student import SparseStudent
from scripts.starter.teacher import Teacher
from scripts.starter.tokens import TokenTable

TOPICS = [
    "wing lift drag flow pressure shock boundary layer",
    "cell virus vaccine blood tissue protein immune serum",
    "query index shard cluster mapping token analyzer segment",
]
CPU = torch.device("cpu")
RECIPE = SparseRecipe(
    steps=6,
    documents=8,
    queries=12,
    max_tokens=16,
    long_every=3,
    long_tokens=24,
    neural_queries=4,
    checkpoint_every=2,
)


@dataclass(frozen=True)
class Miniature:
    corpus: Corpus
    documents: TokenTable
    queries: TokenTable
    folding: Folding
    texts: SparseTexts
    teacher: Teacher
    idf: np.ndarray
    tokenizer: Tokenizer

    def student(self) -> SparseStudent:
        torch.manual_seed(3)
        config = BertConfig(
            vocab_size=self.tokenizer.get_vocab_size(),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=48,
            max_position_embeddings=64,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
        columns = torch.from_numpy(self.folding.columns)
        student = SparseStudent(BertForMaskedLM(config), torch.from_numpy(self.idf), columns, FloorRecipe().weight, 4.0)
        torch.nn.init.constant_(student.encoder.cls.predictions.decoder.bias, 0.05)
        return student

    def batcher(self) -> Batcher:
        return Batcher(self.corpus, self.teacher, self.documents.lengths, RECIPE)


@pytest.fixture(scope="session")
def miniature() -> Miniature:
    random = np.random.default_rng(5)
    words = sorted({word for topic in TOPICS for word in topic.split()} | {"the", "of", "wings", "topic", "question"})
    tokenizer = Tokenizer(
        WordLevel({w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words])}, "[UNK]")
    )
    tokenizer.pre_tokenizer = Whitespace()
    documents, queries = [], []
    for position in range(60):
        topic = TOPICS[position % 3].split()
        text = " of the ".join(random.choice(topic, size=4 + 6 * (position % 2)).tolist())
        text = text.replace("wing", "wings") if position % 6 == 0 else text
        documents.append(Document(text, "made", held_out=position % 10 == 9))
        queries.append(TrainingQuery(" ".join(text.split(" of the ")[:2]), position, "asked"))
    corpus = Corpus(documents, queries)
    texts, asked = [row.text for row in documents], [row.text for row in queries]
    document_tokens, query_tokens = TokenTable(texts, tokenizer), TokenTable(asked, tokenizer)
    vectors = random.normal(size=(3, 8)).astype(np.float32)
    made = np.stack([vectors[i % 3] + 0.3 * random.normal(size=8) for i in range(60)]).astype(np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    recipe = TeacherRecipe()
    lexical = LexicalTeacher.count(texts, asked, str.split, recipe)
    counted = Frequencies.count(texts, tokenizer)
    folding = fold_by_stem(tokenizer.get_vocab(), counted.tokens, lambda word: word.removesuffix("s"))
    idf = inverse_document_frequencies(counted.terms(folding), counted.documents)
    both = SparseTexts.of(document_tokens, query_tokens, folding, tokenizer)
    teacher = Teacher(made, made, lexical, list(range(60)), recipe)
    return Miniature(corpus, document_tokens, query_tokens, folding, both, teacher, idf, tokenizer)
