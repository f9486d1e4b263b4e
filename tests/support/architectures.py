"""Tiny checkpoints with random weights, one of every architecture that is exported.

Each is written by transformers or sentence-transformers themselves, so that it lies on disk exactly as a real one does.
The weights are random but not arbitrary: embeddings dominate attention, so that a text's own terms weigh most, a few
others come in by chance ("expansion"), and most of the vocabulary stays at zero.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.vocabulary import TINY_VOCABULARY

if TYPE_CHECKING:
    from transformers import BertConfig, DistilBertConfig, PreTrainedTokenizerFast, XLMRobertaConfig

SEED = 20_261
HIDDEN = 32
MAX_TOKENS = 128


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A lower-casing WordPiece tokenizer over TINY_VOCABULARY, as transformers wraps BERT's."""
    from transformers import BertTokenizerFast

    return BertTokenizerFast(
        vocab={piece: index for index, piece in enumerate(TINY_VOCABULARY)},
        do_lower_case=True,
        model_max_length=MAX_TOKENS,
    )


def tiny_idf() -> dict[str, float]:
    """Weights per word piece as an IDF would give them: rare things weigh more; specials and a few pieces have none."""
    generator = _numbers(SEED + 1)
    weights: dict[str, float] = {}
    for piece in TINY_VOCABULARY:
        if piece.startswith("["):
            continue
        if len(piece) == 1 and not piece.isalnum():
            weights[piece] = 0.25
        else:
            weights[piece] = round(0.5 + 0.7 * min(len(piece), 8) + 0.5 * next(generator), 4)
    # Pieces a published IDF file has never seen: the query encoder gives them the manifest's missing_idf.
    for piece in ("zebra", "9", "##z"):
        weights.pop(piece, None)
    return weights


def _numbers(seed: int) -> Any:
    import random

    source = random.Random(seed)
    while True:
        yield source.random()


def _bert_config(**more: Any) -> BertConfig:
    from transformers import BertConfig

    return BertConfig(
        vocab_size=len(TINY_VOCABULARY),
        hidden_size=HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=MAX_TOKENS,
        pad_token_id=0,
        **more,
    )


def _distilbert_config(**more: Any) -> DistilBertConfig:
    from transformers import DistilBertConfig

    return DistilBertConfig(
        vocab_size=len(TINY_VOCABULARY),
        dim=HIDDEN,
        n_layers=2,
        n_heads=4,
        hidden_dim=64,
        max_position_embeddings=MAX_TOKENS,
        pad_token_id=0,
        **more,
    )


def seed_weights(model: Any, seed: int = SEED) -> None:
    """Fill a BERT-like model with random weights whose outputs are sparse, varied and well conditioned."""
    import torch

    generator = torch.Generator().manual_seed(seed)

    def normal(shape: Any, spread: float) -> Any:
        return torch.randn(shape, generator=generator) * spread

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "LayerNorm" in name or "layer_norm" in name:
                centre = 1.0 if name.endswith("weight") else 0.0
                parameter.copy_(centre + normal(parameter.shape, 0.05))
            elif "word_embeddings" in name:
                parameter.copy_(normal(parameter.shape, 1.0))
            elif "embeddings" in name:
                parameter.copy_(normal(parameter.shape, 0.15))
            elif name.endswith("bias"):
                parameter.copy_(normal(parameter.shape, 0.05))
            else:
                parameter.copy_(normal(parameter.shape, 0.6 / math.sqrt(parameter.shape[-1])))


def _make_lexical(dense: Any, decoder_bias: Any, seed: int) -> None:
    """Let the masked-LM head point at a token's own embedding; the bias keeps most of the vocabulary at zero."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        noise = torch.randn(dense.weight.shape, generator=generator) * 0.05
        dense.weight.copy_(torch.eye(dense.weight.shape[0]) + noise)
        dense.bias.fill_(0.5)
        decoder_bias.copy_(-14.0 + torch.randn(decoder_bias.shape, generator=generator))


def _bert_masked_lm() -> Any:
    from transformers import BertForMaskedLM

    model = BertForMaskedLM(_bert_config())
    seed_weights(model)
    predictions = model.cls.predictions
    _make_lexical(predictions.transform.dense, predictions.decoder.bias, SEED + 2)
    return model.eval()


def build_sparse_checkpoint(folder: Path) -> Path:
    """A BertForMaskedLM folder (SPLADE with a neural query side)."""
    _bert_masked_lm().save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def build_distilbert_checkpoint(folder: Path) -> Path:
    """A DistilBertForMaskedLM folder."""
    from transformers import DistilBertForMaskedLM

    model = DistilBertForMaskedLM(_distilbert_config())
    seed_weights(model, SEED + 10)
    _make_lexical(model.vocab_transform, model.vocab_projector.bias, SEED + 11)
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def build_router_checkpoint(folder: Path, *, activation: str = "log1p_relu", pooling: str = "max") -> Path:
    """A sentence-transformers SparseEncoder folder: router, IDF for queries, SPLADE for documents."""
    import torch
    from sentence_transformers import SparseEncoder
    from sentence_transformers.sparse_encoder.modules import Router, SparseStaticEmbedding, SpladePooling, Transformer

    with tempfile.TemporaryDirectory() as scratch:
        encoder = Transformer(str(build_sparse_checkpoint(Path(scratch) / "mlm")), transformer_task="fill-mask")
    idf = tiny_idf()
    weights = torch.tensor([idf.get(piece, 0.0) for piece in TINY_VOCABULARY])
    router = Router.for_query_document(
        query_modules=[SparseStaticEmbedding(tokenizer=encoder.tokenizer, weight=weights, frozen=True)],
        document_modules=[encoder, SpladePooling(pooling_strategy=pooling, activation_function=activation)],
    )
    SparseEncoder(modules=[router], similarity_fn_name="dot", device="cpu").save_pretrained(
        str(folder), create_model_card=False
    )
    return folder


def build_cross_encoder_checkpoint(folder: Path) -> Path:
    """A BertForSequenceClassification folder with one label and two token types, ms-marco style (no activation)."""
    from transformers import BertForSequenceClassification

    model = BertForSequenceClassification(_bert_config(num_labels=1))
    seed_weights(model, SEED + 20)
    _spread_scores(model.classifier, -4.0)
    model.config.sentence_transformers = {"activation_fn": "torch.nn.modules.linear.Identity", "version": "5.1.0"}
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def build_distilbert_cross_encoder_checkpoint(folder: Path) -> Path:
    """A DistilBertForSequenceClassification folder: no token types, default activation (sigmoid)."""
    from transformers import DistilBertForSequenceClassification

    model = DistilBertForSequenceClassification(_distilbert_config(num_labels=1))
    seed_weights(model, SEED + 30)
    _spread_scores(model.classifier, -2.5)
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def _roberta_tokenizer() -> PreTrainedTokenizerFast:
    """The tiny vocabulary with RoBERTa's special tokens: padding is 1, a pair is `<s> A </s></s> B </s>`."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    pieces = ["<s>", "<pad>", "</s>", "<unk>", *(piece for piece in TINY_VOCABULARY if not piece.startswith("["))]
    inner = Tokenizer(WordPiece({piece: index for index, piece in enumerate(pieces)}, unk_token="<unk>"))
    inner.normalizer = BertNormalizer(lowercase=True)
    inner.pre_tokenizer = BertPreTokenizer()
    inner.post_processor = TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        model_max_length=MAX_TOKENS,
        model_input_names=["input_ids", "attention_mask"],
    )


def _xlm_roberta_config(vocabulary: int, **more: Any) -> XLMRobertaConfig:
    from transformers import XLMRobertaConfig

    return XLMRobertaConfig(
        vocab_size=vocabulary,
        hidden_size=HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=MAX_TOKENS + 2,
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        **more,
    )


def build_roberta_checkpoint(folder: Path) -> Path:
    """An XLMRobertaForMaskedLM folder."""
    from transformers import XLMRobertaForMaskedLM

    tokenizer = _roberta_tokenizer()
    model = XLMRobertaForMaskedLM(_xlm_roberta_config(len(tokenizer)))
    seed_weights(model, SEED + 60)
    _make_lexical(model.lm_head.dense, model.lm_head.bias, SEED + 61)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def build_xlm_roberta_cross_encoder_checkpoint(folder: Path) -> Path:
    """An XLMRobertaForSequenceClassification folder, as bge rerankers are: positions start after the padding id."""
    from transformers import XLMRobertaForSequenceClassification

    tokenizer = _roberta_tokenizer()
    model = XLMRobertaForSequenceClassification(_xlm_roberta_config(len(tokenizer), num_labels=1))
    seed_weights(model, SEED + 40)
    _spread_scores(model.classifier.out_proj, -1.5)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _spread_scores(classifier: Any, centre: float) -> None:
    """Scale the last layer so that scores of different pairs lie apart, on both sides of zero."""
    import torch

    with torch.no_grad():
        classifier.weight.mul_(18.0)
        classifier.bias.fill_(centre)


def build_own_terms_checkpoint(folder: Path) -> Path:
    """A uniCOIL folder: a BERT body and `tok_proj`, a linear layer to one weight per token."""
    import json

    import torch
    from safetensors.torch import save_file
    from transformers import BertModel

    config = _bert_config(architectures=["UniCoilEncoder"])
    body = BertModel(config, add_pooling_layer=False)
    seed_weights(body, SEED + 50)
    generator = torch.Generator().manual_seed(SEED + 51)
    state = {f"bert.{name}": tensor.contiguous() for name, tensor in body.state_dict().items()}
    state["tok_proj.weight"] = torch.randn((1, HIDDEN), generator=generator) * 0.3
    state["tok_proj.bias"] = torch.tensor([1.0])
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(
        json.dumps({**config.to_dict(), "architectures": ["UniCoilEncoder"]}, indent=2, sort_keys=True),
        encoding="utf-8",
    )
    tiny_tokenizer().save_pretrained(folder)
    return folder
