"""Exported tiny checkpoints through the core, against transformers' models run by themselves."""

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest

from sidecar.bundle import Bundle
from sidecar.domain import Pruning, Side, WindowPolicy, Windows
from sidecar.inference import InferenceService
from sidecar.settings import Settings

TEXTS = [
    "the quick brown fox jumps over the lazy dog",
    "command line arguments",
    "parse parse parse",
    "zebra? zebra! 9 zzz",
    "a search engine ranks documents by the terms they share with a query " * 30,
]
QUERY = "which documents share terms with a query"


@pytest.fixture(scope="module")
def service(tiny_sparse_bundle, tiny_idf_bundle, tiny_cross_encoder_bundle, tiny_own_terms_bundle) -> Iterator:
    folders = (tiny_sparse_bundle, tiny_cross_encoder_bundle, tiny_idf_bundle, tiny_own_terms_bundle)
    made = InferenceService.load([Bundle.open(folder) for folder in folders], Settings(threads=1))
    made.warm_up()
    yield made
    made.close()


def dense(encoding, size: int) -> np.ndarray:
    row = np.zeros(size)
    row[list(encoding.vector.term_ids)] = encoding.vector.weights
    return row


async def test_documents_as_the_checkpoint_weighs_them(service, tiny_sparse_checkpoint):
    import torch
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    model = AutoModelForMaskedLM.from_pretrained(tiny_sparse_checkpoint).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_sparse_checkpoint)
    info = service.models()[0]
    result = await service.encode(TEXTS, pruning=Pruning())
    for text, encoding in zip(TEXTS, result.encodings, strict=True):
        batch = tokenizer(text, truncation=True, max_length=info.max_tokens, return_tensors="pt")
        with torch.no_grad():
            weights = torch.log1p(torch.relu(model(**batch).logits)).amax(dim=1)[0].numpy()
        weights[tokenizer.all_special_ids] = 0.0
        np.testing.assert_allclose(dense(encoding, info.vocabulary_size), weights, atol=1e-3)
        assert encoding.tokens == batch["input_ids"].shape[1] - 2
    assert [encoding.truncated for encoding in result.encodings] == [False] * 4 + [True]


async def test_windows_as_transformers_overflows_them(service, tiny_sparse_checkpoint):
    import torch
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    model = AutoModelForMaskedLM.from_pretrained(tiny_sparse_checkpoint).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_sparse_checkpoint)
    info = service.models()[0]
    batch = tokenizer(
        TEXTS[-1],
        truncation=True,
        max_length=info.max_tokens,
        stride=26,
        return_overflowing_tokens=True,
        padding=True,
        return_tensors="pt",
    )
    batch.pop("overflow_to_sample_mapping")
    with torch.no_grad():
        logits = model(**batch).logits
    weights = (torch.log1p(torch.relu(logits)) * batch["attention_mask"].unsqueeze(-1)).amax(dim=(0, 1)).numpy()
    weights[tokenizer.all_special_ids] = 0.0
    windows = Windows(WindowPolicy.SLIDE, stride=info.max_tokens - 2 - 26)
    (encoding,) = (await service.encode(TEXTS[-1:], pruning=Pruning(), windows=windows)).encodings
    assert encoding.windows == len(batch["input_ids"]) > 2
    assert not encoding.truncated
    np.testing.assert_allclose(dense(encoding, info.vocabulary_size), weights, atol=1e-3)


async def test_inference_free_queries_as_sentence_transformers_weighs_them(service, tiny_router_checkpoint):
    """Where the table has the token; what it lacks is missing_idf here and 0 there."""
    from sentence_transformers import SparseEncoder

    model = SparseEncoder(str(tiny_router_checkpoint), device="cpu")
    known = ["the quick brown fox", "a search engine ranks documents"]
    theirs = model.encode_query(known, convert_to_sparse_tensor=False).cpu().numpy()
    result = await service.encode(known, side=Side.QUERY, model="tiny-idf", pruning=Pruning())
    for row, encoding in zip(theirs, result.encodings, strict=True):
        ours = dense(encoding, row.size)
        np.testing.assert_allclose(ours[row > 0], row[row > 0], atol=1e-5)


async def test_reranking_as_the_checkpoint_scores(service, tiny_cross_encoder_checkpoint):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(tiny_cross_encoder_checkpoint).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_cross_encoder_checkpoint)
    info = next(each for each in service.models() if each.name == "tiny-cross-encoder")
    result = await service.rerank(QUERY, TEXTS)
    batch = tokenizer(
        [QUERY] * len(TEXTS),
        TEXTS,
        truncation="only_second",
        max_length=info.max_tokens,
        padding=True,
        return_tensors="pt",
    )
    with torch.no_grad():
        logits = model(**batch).logits[:, 0].numpy()
    assert [document.index for document in result.results] == np.argsort(-logits, kind="stable").tolist()
    for document in result.results:
        assert document.logit == pytest.approx(float(logits[document.index]), abs=1e-3)
    assert [d.truncated for d in sorted(result.results, key=lambda d: d.index)] == [False] * 4 + [True]


async def test_own_terms_stay_among_the_texts_own(service, tiny_own_terms_checkpoint):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_own_terms_checkpoint)
    result = await service.encode(TEXTS, model="tiny-own-terms", pruning=Pruning())
    for text, encoding in zip(TEXTS, result.encodings, strict=True):
        own = set(tokenizer(text, truncation=True, max_length=128, add_special_tokens=False)["input_ids"])
        assert set(encoding.vector.term_ids) <= own
    assert any(len(encoding.vector) for encoding in result.encodings)


async def test_batching_changes_no_weight(service):
    """Alone or with others, padded or not: equal to the last bit that float32 sums in another order leave."""
    together = (await service.encode(TEXTS * 5, pruning=Pruning())).encodings
    alone = await asyncio.gather(*(service.encode([text], pruning=Pruning()) for text in TEXTS))
    size = service.models()[0].vocabulary_size
    for position, encoding in enumerate(together):
        single = alone[position % len(TEXTS)].encodings[0]
        np.testing.assert_allclose(dense(encoding, size), dense(single, size), atol=1e-5)
