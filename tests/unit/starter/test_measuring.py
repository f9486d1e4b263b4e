"""Calibration, variants and slices: what the model cards report."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from scripts.starter.calibration import Platt, apply, calibration_error, fit
from scripts.starter.recipe import FloorRecipe
from scripts.starter.slices import Inflections, held_out_slices
from scripts.starter.variants import ANALYSED, SHIPPED, Model, Variants, flops
from tests.unit.starter.conftest import Miniature


def test_platt_scaling_finds_the_scale_that_the_labels_were_drawn_with() -> None:
    random = np.random.default_rng(2)
    logits = random.normal(0, 3, 20_000).astype(np.float32)
    truth = (random.random(20_000) < 1 / (1 + np.exp(-(0.5 * logits - 1)))).astype(np.float32)
    scaling = fit(logits, truth)
    assert scaling.scale == pytest.approx(0.5, abs=0.05)
    assert scaling.shift == pytest.approx(-1.0, abs=0.1)
    before, after = calibration_error(logits, truth), calibration_error(0.5 * logits - 1, truth)
    assert after < 0.02 < before


def test_the_error_of_a_certain_and_wrong_score_is_one() -> None:
    assert calibration_error(np.asarray([40.0, 40.0]), np.asarray([0.0, 0.0])) == pytest.approx(1.0)
    assert calibration_error(np.asarray([40.0, -40.0]), np.asarray([1.0, 0.0])) == pytest.approx(0.0)


def test_scaling_goes_into_the_last_layer() -> None:
    layer = torch.nn.Linear(3, 1)
    inputs = torch.randn(5, 3)
    before = layer(inputs).detach()
    apply(Platt(2.0, -1.0), layer)
    torch.testing.assert_close(layer(inputs).detach(), 2 * before - 1)


def variants_for(miniature: Miniature, asked: list[str]) -> Variants:
    texts = [row.text for row in miniature.corpus.documents[:20]]
    columns = len(miniature.folding.columns)
    model = Model(
        miniature.tokenizer, miniature.folding, miniature.idf, 2 * miniature.idf, 0.7, miniature.texts.average_length
    )
    documents, queries = (csr_matrix((size, columns), dtype=np.float32) for size in (20, len(asked)))
    return Variants(model, texts, asked, documents, queries)


@pytest.fixture(scope="module")
def variants(miniature: Miniature) -> Variants:
    return variants_for(miniature, [row.text for row in miniature.corpus.queries[:20]])


def test_without_anything_learned_the_shipped_vectors_are_the_floor(variants: Variants, miniature: Miniature) -> None:
    rows = np.arange(20)
    floor = 0.7 * miniature.texts.documents.saturated(rows, FloorRecipe(), miniature.texts.average_length)
    np.testing.assert_allclose(variants.vectors.toarray(), floor.toarray(), rtol=1e-5)
    scores = variants.scores()
    assert not scores["learned alone, adapted IDF"]().any()
    assert scores[ANALYSED]().shape == scores[SHIPPED]().shape == (20, 20)
    halved = scores["learned + floor, query weights of the bundle"]() / 2
    expected = (variants.query_terms @ variants.vectors.T).toarray() / 2
    np.testing.assert_allclose(halved, expected, rtol=1e-5)


def test_unfolded_floors_miss_inflections(miniature: Miniature) -> None:
    """Both forms find the documents of both; without folding only those of the canonical one."""
    scores = variants_for(miniature, ["wing", "wings"]).scores()
    with_folds, without = scores[SHIPPED](), scores["shipped, documents not folded"]()
    words = [set(row.text.split()) for row in miniature.corpus.documents[:20]]
    assert (with_folds[0] > 0).tolist() == [bool({"wing", "wings"} & one) for one in words]
    assert with_folds[0].tolist() == with_folds[1].tolist()
    assert 0 < (without[0] > 0).sum() < (with_folds[0] > 0).sum()


def test_flops_by_hand() -> None:
    queries = csr_matrix(np.asarray([[1.0, 0, 0], [1, 1, 0]]))
    documents = csr_matrix(np.asarray([[1.0, 0, 1], [1, 1, 0], [1, 0, 0], [0, 0, 0]]))
    assert flops(queries, documents) == pytest.approx(1.0 * 3 / 4 + 0.5 * 1 / 4)


def test_slices_ask_about_held_out_documents_only(miniature: Miniature) -> None:
    slices = {one.name: one for one in held_out_slices(miniature.corpus, miniature.folding, miniature.tokenizer, 1)}
    every = slices["all held-out questions"]
    held_out = [row.text for row in miniature.corpus.documents if row.held_out]
    assert list(every.documents) == held_out
    for query, label in zip(every.queries, every.labels, strict=True):
        assert query.split()[0] in held_out[label].split()
    padded = slices["padded with polite filler"]
    assert len(padded.queries) == len(every.queries)
    assert all(len(query.split()) > 10 for query in padded.queries)


def test_inflections_stay_within_the_stem(miniature: Miniature) -> None:
    change = Inflections(miniature.folding, miniature.tokenizer).change
    assert change("Drag of wings") in ("drag of wing", "drag of wings")
    assert change("wings") != change(change("wings")) or change("wings") == "wings"
