"""Sparse encoders against sentence-transformers and transformers themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.bundle import Activation, Bundle, Expansion, Pooling, QueryMode
from sidecar.export import ExportOptions, export_checkpoint
from tests.support.architectures import build_router_checkpoint, build_sparse_checkpoint, tiny_tokenizer
from tests.support.vocabulary import TINY_VOCABULARY
from tests.unit.export.running import TEXTS, Graph

EXACT = 2e-5


@pytest.fixture(scope="session")
def build_graph(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Graph]:
    def build(checkpoint: Path, **options: Any) -> Graph:
        out = tmp_path_factory.mktemp("bundle") / "bundle"
        export_checkpoint(checkpoint, out, ExportOptions(**options))
        return Graph(out)

    return build


def masked_lm_weights(checkpoint: Path, texts: tuple[str, ...], *, pooling: str, logarithms: int) -> np.ndarray:
    """SPLADE by its definition, over the dense [batch, length, vocabulary] logits of transformers."""
    import torch
    from transformers import AutoModelForMaskedLM

    tokenizer = tiny_tokenizer()
    batch = tokenizer(list(texts), padding=True, return_tensors="pt", return_token_type_ids=False)
    with torch.inference_mode():
        weights = torch.relu(AutoModelForMaskedLM.from_pretrained(checkpoint).eval()(**batch).logits)
        for _ in range(logarithms):
            weights = torch.log1p(weights)
        weights = weights * batch["attention_mask"][:, :, None]
        return (weights.sum(dim=1) if pooling == "sum" else weights.amax(dim=1)).numpy()


@pytest.mark.parametrize("pooling", ["max", "sum"])
@pytest.mark.parametrize(("activation", "logarithms"), [("relu", 0), ("log1p_relu", 1), ("log1p_log1p_relu", 2)])
def test_every_pooling_and_activation_equals_the_definition(
    tiny_sparse_checkpoint: Path, build_graph: Callable[..., Graph], pooling: str, activation: str, logarithms: int
) -> None:
    graph = build_graph(tiny_sparse_checkpoint, pooling=Pooling(pooling), activation=Activation(activation))
    expected = masked_lm_weights(tiny_sparse_checkpoint, TEXTS, pooling=pooling, logarithms=logarithms)
    assert (expected > 0).sum(axis=1).min() > 5
    assert (expected > 0).mean() < 0.5
    np.testing.assert_allclose(graph.run(TEXTS), expected, atol=EXACT * 10 if logarithms == 0 else EXACT)


def test_distilbert_equals_transformers(tiny_distilbert_checkpoint: Path, build_graph: Callable[..., Graph]) -> None:
    graph = build_graph(tiny_distilbert_checkpoint)
    expected = masked_lm_weights(tiny_distilbert_checkpoint, TEXTS, pooling="max", logarithms=1)
    np.testing.assert_allclose(graph.run(TEXTS), expected, atol=EXACT)


def test_roberta_masked_lm_equals_transformers(
    tiny_roberta_checkpoint: Path, build_graph: Callable[..., Graph]
) -> None:
    import torch
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    graph = build_graph(tiny_roberta_checkpoint)
    batch = AutoTokenizer.from_pretrained(tiny_roberta_checkpoint)(list(TEXTS), padding=True, return_tensors="pt")
    with torch.inference_mode():
        logits = AutoModelForMaskedLM.from_pretrained(tiny_roberta_checkpoint).eval()(**batch).logits
        weights = torch.log1p(torch.relu(logits)) * batch["attention_mask"][:, :, None]
    np.testing.assert_allclose(graph.run(TEXTS), weights.amax(dim=1).numpy(), atol=EXACT)


@pytest.mark.parametrize("pooling", ["max", "sum"])
@pytest.mark.parametrize("activation", ["relu", "log1p_relu"])
def test_router_folders_equal_sentence_transformers(
    tmp_path: Path, build_graph: Callable[..., Graph], pooling: str, activation: str
) -> None:
    from sentence_transformers import SparseEncoder

    checkpoint = build_router_checkpoint(tmp_path / "router", activation=activation, pooling=pooling)
    model = SparseEncoder(str(checkpoint), device="cpu")
    expected = model.encode_document(list(TEXTS), convert_to_sparse_tensor=False).numpy()
    np.testing.assert_allclose(build_graph(checkpoint).run(TEXTS), expected, atol=EXACT)


def test_log1p_relu_of_sentence_transformers_is_the_double_logarithm(
    tiny_router_checkpoint: Path, tiny_idf_bundle: Path
) -> None:
    assert Bundle.open(tiny_idf_bundle).manifest.activation is Activation.LOG1P_LOG1P_RELU
    expected = masked_lm_weights(tiny_router_checkpoint / "document_0_Transformer", TEXTS, pooling="max", logarithms=2)
    np.testing.assert_allclose(Graph(tiny_idf_bundle).run(TEXTS), expected, atol=EXACT)


def test_plain_module_chain_equals_sentence_transformers(tmp_path: Path, build_graph: Callable[..., Graph]) -> None:
    from sentence_transformers import SparseEncoder
    from sentence_transformers.sparse_encoder.modules import SpladePooling, Transformer

    encoder = Transformer(str(build_sparse_checkpoint(tmp_path / "mlm")), transformer_task="fill-mask")
    model = SparseEncoder(modules=[encoder, SpladePooling(pooling_strategy="sum")], device="cpu")
    model.save_pretrained(str(tmp_path / "chain"), create_model_card=False)
    graph = build_graph(tmp_path / "chain")
    expected = model.encode(list(TEXTS), convert_to_sparse_tensor=False).numpy()
    np.testing.assert_allclose(graph.run(TEXTS), expected, atol=EXACT)


def test_idf_queries_equal_sentence_transformers(tiny_router_checkpoint: Path, tiny_idf_bundle: Path) -> None:
    import orjson
    from sentence_transformers import SparseEncoder

    bundle = Bundle.open(tiny_idf_bundle)
    assert bundle.manifest.query_mode is QueryMode.IDF
    weights = orjson.loads(bundle.file("query_weights.json").read_bytes())
    model = SparseEncoder(str(tiny_router_checkpoint), device="cpu")
    encoded = model.encode_query([*TEXTS, "zebra zebra 99"], convert_to_sparse_tensor=False).numpy()
    for text, row in zip([*TEXTS, "zebra zebra 99"], encoded, strict=True):
        terms = set(tiny_tokenizer().tokenize(text))
        expected = {TINY_VOCABULARY[index]: float(row[index]) for index in np.flatnonzero(row)}
        given = {term: weights[term] for term in terms if weights.get(term, 0.0) > 0}
        assert given == pytest.approx(expected)


def test_a_vector_of_query_weights_keeps_its_zeros(tiny_idf_bundle: Path) -> None:
    """sentence-transformers gives an unseen term 0; only a term missing from the table falls to missing_idf."""
    import orjson

    bundle = Bundle.open(tiny_idf_bundle)
    weights = orjson.loads(bundle.file("query_weights.json").read_bytes())
    assert weights["zebra"] == 0.0
    assert not {"[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]"} & set(weights)
    assert bundle.manifest.missing_idf == 1.0


def test_own_term_weights_equal_the_projection(tiny_own_terms_checkpoint: Path, tiny_own_terms_bundle: Path) -> None:
    import torch
    from safetensors.torch import load_file
    from transformers import BertModel

    state = load_file(tiny_own_terms_checkpoint / "model.safetensors")
    body = BertModel.from_pretrained(tiny_own_terms_checkpoint, add_pooling_layer=False).eval()
    batch = tiny_tokenizer()(list(TEXTS), padding=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = body(**batch).last_hidden_state
        weights = torch.relu(hidden @ state["tok_proj.weight"].T + state["tok_proj.bias"])[:, :, 0]
        expected = (weights * batch["attention_mask"]).numpy()
    bundle = Bundle.open(tiny_own_terms_bundle)
    assert bundle.manifest.expansion is Expansion.OWN_TERMS
    assert bundle.manifest.graph is not None
    assert bundle.manifest.graph.output_kind == "token_weights"
    assert (expected > 0).mean() > 0.2
    np.testing.assert_allclose(Graph(tiny_own_terms_bundle).run(TEXTS), expected, atol=EXACT)


@pytest.mark.parametrize("tiles", [1, 3, 16, 40])
@pytest.mark.parametrize("pooling", [Pooling.MAX, Pooling.SUM])
def test_tiles_never_change_the_result(
    tiny_sparse_checkpoint: Path, build_graph: Callable[..., Graph], tiles: int, pooling: Pooling
) -> None:
    expected = build_graph(tiny_sparse_checkpoint, pooling=pooling, tiles=16).run(TEXTS)
    graph = build_graph(tiny_sparse_checkpoint, pooling=pooling, tiles=tiles)
    np.testing.assert_allclose(graph.run(TEXTS), expected, atol=1e-6)


words = st.sampled_from([piece for piece in TINY_VOCABULARY if piece.isalpha()])
texts = st.lists(words, min_size=1, max_size=30).map(" ".join)


@pytest.fixture(scope="session")
def sparse_graph(tiny_sparse_bundle: Path) -> Graph:
    return Graph(tiny_sparse_bundle)


@pytest.fixture(scope="session")
def sum_graph(tiny_sparse_checkpoint: Path, build_graph: Callable[..., Graph]) -> Graph:
    return build_graph(tiny_sparse_checkpoint, pooling=Pooling.SUM)


@settings(max_examples=40, deadline=None)
@given(batch=st.lists(texts, min_size=1, max_size=6), data=st.data())
def test_a_text_is_encoded_alike_in_any_company(sparse_graph: Graph, batch: list[str], data: st.DataObject) -> None:
    """Neither the other texts of a batch, nor their order, nor padding beyond the longest change a vector."""
    alone = np.concatenate([sparse_graph.run([text]) for text in batch])
    order = data.draw(st.permutations(range(len(batch))))
    together = sparse_graph.run([batch[index] for index in order], length=data.draw(st.integers(64, 128)))
    np.testing.assert_allclose(together, alone[list(order)], atol=EXACT)


@settings(max_examples=20, deadline=None)
@given(text=texts, padding=st.integers(1, 60))
def test_sum_pooling_counts_no_padding(sum_graph: Graph, text: str, padding: int) -> None:
    alone = sum_graph.run([text])
    length = len(sum_graph.tokenizer.encode(text).ids)
    np.testing.assert_allclose(sum_graph.run([text], length=length + padding), alone, atol=EXACT * 10)
