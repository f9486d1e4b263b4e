"""The catalogue says what its sources say, and every entry can be looked up."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from sidecar.bundle import Activation, QueryMode, SpecialTokens
from sidecar.bundle.catalogue import Catalogue, KnownModel, find_known, load_catalogue
from sidecar.domain import ModelKind

MODELS = load_catalogue().models

ASKED_FOR = [
    "opensearch-project/opensearch-neural-sparse-encoding-doc-v1",
    "opensearch-project/opensearch-neural-sparse-encoding-doc-v2-distill",
    "opensearch-project/opensearch-neural-sparse-encoding-doc-v2-mini",
    "opensearch-project/opensearch-neural-sparse-encoding-doc-v3-distill",
    "opensearch-project/opensearch-neural-sparse-encoding-doc-v3-gte",
    "opensearch-project/opensearch-neural-sparse-encoding-multilingual-v1",
    "opensearch-project/opensearch-neural-sparse-encoding-v1",
    "opensearch-project/opensearch-neural-sparse-encoding-v2-distill",
    "naver/splade_v2_max",
    "naver/splade_v2_distil",
    "naver/splade-cocondenser-selfdistil",
    "naver/splade-cocondenser-ensembledistil",
    "naver/splade-v3",
    "naver/splade-v3-distilbert",
    "naver/splade-v3-doc",
    "naver/splade-v3-lexical",
    "naver/efficient-splade-V-large-doc",
    "naver/efficient-splade-VI-BT-large-doc",
    "prithivida/Splade_PP_en_v1",
    "prithivida/Splade_PP_en_v2",
    "ibm-granite/granite-embedding-30m-sparse",
    "cross-encoder/ms-marco-TinyBERT-L2-v2",
    "cross-encoder/ms-marco-MiniLM-L2-v2",
    "cross-encoder/ms-marco-MiniLM-L4-v2",
    "cross-encoder/ms-marco-MiniLM-L6-v2",
    "cross-encoder/ms-marco-MiniLM-L12-v2",
    "BAAI/bge-reranker-base",
    "BAAI/bge-reranker-large",
    "BAAI/bge-reranker-v2-m3",
]


def known(repository: str) -> KnownModel:
    found = find_known(repository)
    assert found is not None
    return found


def test_the_models_people_ask_for_are_in_it():
    assert {model.repository for model in MODELS} == set(ASKED_FOR)


def test_every_name_means_one_model():
    names = [name.casefold() for model in MODELS for name in (model.repository, model.name, *model.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_every_name_of_an_entry_finds_it(model: KnownModel):
    for name in (model.repository, model.name, model.repository.upper(), *model.aliases):
        assert find_known(name) is model


def test_an_unknown_name_finds_nothing():
    assert find_known("nobody/nothing") is None
    assert find_known("") is None


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_what_is_not_for_commercial_use_says_so(model: KnownModel):
    assert model.non_commercial == ("NC" in model.license)
    assert model.non_commercial == model.repository.startswith("naver/")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_every_entry_names_its_licence_and_sources(model: KnownModel):
    assert model.license in {"Apache-2.0", "MIT", "CC-BY-NC-SA-4.0"}
    assert set(model.sources) <= set(load_catalogue().sources)


@pytest.mark.parametrize("version", ["doc-v1", "doc-v2-distill", "doc-v2-mini", "multilingual-v1"])
def test_inference_free_models_before_v3_have_one_logarithm(version: str):
    model = known(f"opensearch-neural-sparse-encoding-{version}")
    assert model.activation is Activation.LOG1P_RELU
    assert model.query_mode is QueryMode.IDF
    assert model.missing_idf == 1.0


@pytest.mark.parametrize("version", ["doc-v3-distill", "doc-v3-gte"])
def test_v3_models_have_two_logarithms_and_their_published_pruning(version: str):
    model = known(f"opensearch-neural-sparse-encoding-{version}")
    assert model.activation is Activation.LOG1P_LOG1P_RELU
    assert model.document_max_ratio == 0.1
    assert model.query_mode is QueryMode.IDF


def test_the_ceiling_of_the_search_side_depends_on_who_encodes_queries():
    for model in MODELS:
        if model.repository.startswith("opensearch-project/"):
            assert model.ceiling_ingest == 3
            assert model.ceiling_search == (16 if model.query_mode is QueryMode.IDF else 3)


def test_splade_doc_takes_queries_as_bags_of_ones():
    assert known("splade-v3-doc").query_mode is QueryMode.BINARY


def test_special_tokens_never_reach_an_index():
    for model in MODELS:
        expected = SpecialTokens.DROP_ALL if model.kind is ModelKind.SPARSE_ENCODER else None
        assert model.special_tokens is expected


def test_what_can_not_be_exported_says_why():
    blocked = {model.name for model in MODELS if model.obstacle}
    assert "opensearch-neural-sparse-encoding-doc-v3-gte" in blocked
    assert "splade-v3" not in blocked
    assert all(len(model.obstacle or "long enough") > 8 for model in MODELS)


def test_published_figures():
    assert known("naver/splade-v3").beir13 == 51.7
    assert known("naver/splade-v3").mrr10 == 40.2
    assert known("opensearch-neural-sparse-encoding-doc-v3-gte").beir13 == 54.6
    assert known("ms-marco-MiniLM-L6-v2").dl19 == 74.30


ENTRY: dict[str, object] = {
    "repository": "a/b",
    "kind": "cross-encoder",
    "license": "MIT",
    "architecture": "bert",
    "sources": ["card"],
}


@pytest.mark.parametrize(
    "change",
    [
        {"repository": "b"},
        {"pooling": "max"},
        {"kind": "sparse-encoder", "score_activation": "sigmoid"},
        {"kind": "sparse-encoder", "query_mode": "idf"},
        {"kind": "sparse-encoder", "missing_idf": 1.0},
        {"unheard_of": 1},
        {"sources": []},
        {"sources": ["hearsay"]},
    ],
)
def test_entries_that_contradict_themselves_are_refused(change: dict[str, object]):
    with pytest.raises(ValidationError):
        Catalogue.model_validate({"models": [{**ENTRY, **change}], "sources": {"card": "x"}})
    assert Catalogue.model_validate({"models": [ENTRY], "sources": {"card": "x"}}).models
