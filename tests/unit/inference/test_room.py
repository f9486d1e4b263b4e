"""What is left of a model's length when its special tokens have their places."""

import pytest
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from sidecar.domain import Side, WindowPolicy, Windows
from sidecar.errors import BundleCorrupt
from sidecar.inference import InferenceService
from sidecar.settings import Settings
from tests.unit.inference.graphs import cross_bundle, sparse_bundle, term_id

SLIDE = Windows(WindowPolicy.SLIDE)
TEXT = "w1 w2 w3"


def loaded(bundle) -> InferenceService:
    return InferenceService.load([bundle], Settings(threads=1))


async def test_one_token_a_window_is_the_least_that_a_model_reads(tmp_path):
    sparse, cross = (
        loaded(sparse_bundle(tmp_path / "sparse", max_tokens=3)),
        loaded(cross_bundle(tmp_path, max_tokens=5)),
    )
    try:
        (encoding,) = (await sparse.encode([TEXT], windows=SLIDE)).encodings
        (ranked,) = (await cross.rerank(TEXT, [TEXT], windows=SLIDE)).results
    finally:
        sparse.close()
        cross.close()
    assert (encoding.windows, encoding.truncated) == (3, False)
    assert (ranked.windows, ranked.truncated) == (3, True), "of the query, one token is read"


def test_a_pair_needs_a_token_for_each(tmp_path):
    with pytest.raises(BundleCorrupt, match=r"special tokens of tokenizer\.json take all that max_tokens"):
        loaded(cross_bundle(tmp_path, max_tokens=4))


@pytest.mark.parametrize(
    "manifest", [{"max_tokens": 4}, {"query_max_tokens": 4}, {"query_max_tokens": 4, "kind": "none"}]
)
async def test_a_text_needs_one(tmp_path, manifest):
    weights = {"query_weights": {"w1": 1.0}} if "kind" in manifest else {}
    bundle = sparse_bundle(tmp_path, **manifest, **weights)
    path = bundle.file("tokenizer.json")
    tokenizer = Tokenizer.from_file(str(path))
    marks = [("[CLS]", term_id("[CLS]")), ("[SEP]", term_id("[SEP]"))]
    for template, fits in (("[CLS] [CLS] $A [SEP]", True), ("[CLS] [CLS] $A [SEP] [SEP]", False)):
        tokenizer.post_processor = TemplateProcessing(single=template, pair="[CLS] $A $B", special_tokens=marks)
        tokenizer.save(str(path))
        if not fits:
            with pytest.raises(BundleCorrupt, match="query_max_tokens"):
                loaded(bundle)
            continue
        service = loaded(bundle)
        try:
            (encoding,) = (await service.encode([TEXT], side=Side.QUERY, windows=SLIDE)).encodings
        finally:
            service.close()
        assert encoding.tokens == 3
