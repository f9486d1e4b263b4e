"""The saved folders are what sentence-transformers loads, with the same vectors."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder, SparseEncoder
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from scripts.starter.folders import save_reranker, save_sparse
from scripts.starter.recipe import FloorRecipe
from scripts.starter.reranker import logits_of
from scripts.starter.tokens import PairTable
from tests.unit.starter.conftest import CPU, Miniature


@pytest.fixture
def tokenizer_folder(miniature: Miniature, tmp_path: Path) -> Path:
    names = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing

    tokenizer = Tokenizer.from_str(miniature.tokenizer.to_str())
    specials = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=specials
    )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


def test_a_sparse_encoder_gives_the_vectors_of_the_student(
    miniature: Miniature, tokenizer_folder: Path, tmp_path: Path
) -> None:
    student = miniature.student()
    torch.nn.init.normal_(student.adjustment, std=0.3)
    folder = tmp_path / "sparse"
    save_sparse(student, miniature.folding, FloorRecipe(), 12.5, tokenizer_folder, folder, max_tokens=64)
    loaded = SparseEncoder(str(tmp_path / "sparse"), device="cpu")
    texts = [row.text for row in miniature.corpus.documents[:4]]
    with torch.no_grad():
        expected = student.learned(*miniature.documents.batch(np.arange(4), 64, CPU))
    found = loaded.encode_document(texts, convert_to_tensor=True).to_dense()
    torch.testing.assert_close(found[:, student.columns], expected, rtol=0.05, atol=0.02)
    assert (found > 0).sum() == (found[:, student.columns] > 0).sum(), "what is folded away never enters a vector"
    query = loaded.encode_query([miniature.corpus.queries[0].text], convert_to_tensor=True).to_dense()[0]
    table = json.loads((tmp_path / "sparse" / "query_weights.json").read_text())
    weights = torch.zeros(miniature.tokenizer.get_vocab_size())
    weights[student.columns] = student.query_weights().detach()
    assert json.loads((folder / "folds.json").read_text())["wings" if "wing" in table else "wing"] in table
    assert json.loads((folder / "lexical_floor.json").read_text())["average_length"] == 12.5
    for word in miniature.corpus.queries[0].text.split():
        piece = int(miniature.folding.canonical[miniature.tokenizer.token_to_id(word)])
        word = miniature.tokenizer.id_to_token(piece)
        assert query[piece] == pytest.approx(float(weights[piece]), rel=1e-4)
        assert table[word] == pytest.approx(float(weights[piece]), abs=1e-4)


def test_a_reranker_gives_the_logits_it_was_trained_for(
    miniature: Miniature, tokenizer_folder: Path, tmp_path: Path
) -> None:
    torch.manual_seed(6)
    config = BertConfig(
        vocab_size=miniature.tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=64,
        num_labels=1,
    )
    model = BertForSequenceClassification(config).eval()
    save_reranker(model, tokenizer_folder, tmp_path / "reranker")
    loaded = CrossEncoder(str(tmp_path / "reranker"), device="cpu", activation_fn=torch.nn.Identity())
    pairs = [(miniature.corpus.queries[i].text, miniature.corpus.documents[i].text) for i in range(3)]
    table = PairTable(miniature.queries, miniature.documents)
    with torch.no_grad():
        expected = logits_of(model, table.batch(np.arange(3), np.arange(3), 64, CPU))
    np.testing.assert_allclose(loaded.predict(pairs), expected.numpy(), rtol=0.05, atol=0.02)
