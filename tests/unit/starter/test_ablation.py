"""Each run of the ablation lacks one ingredient, and what it lacks is really missing from its batches and scores."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from scripts.starter.ablation import WITH_ALL, Run, runs
from scripts.starter.batches import Batcher
from scripts.starter.card import sparse_card
from scripts.starter.corpus import Corpus
from scripts.starter.measured import Ablation
from scripts.starter.recipe import FloorRecipe, SparseRecipe, TeacherRecipe
from tests.unit.starter.conftest import RECIPE, Miniature
from tests.unit.starter.test_card import CURVE, MEASURED

WITHOUT = runs(200)[1:]


def test_the_first_run_is_the_whole_recipe_at_another_length() -> None:
    whole = runs(200)[0]
    assert whole == Run(WITH_ALL, replace(SparseRecipe(), steps=200), TeacherRecipe(), FloorRecipe())


@pytest.mark.parametrize("run", WITHOUT, ids=lambda run: run.folder)
def test_every_other_run_differs_in_one_recipe_alone(run: Run) -> None:
    whole, parts = runs(200)[0], ("sparse", "teacher", "floor")
    changed = [part for part in parts if getattr(run, part) != getattr(whole, part)]
    assert len(changed) == 1
    before, after = asdict(getattr(whole, changed[0])), asdict(getattr(run, changed[0]))
    different = {name for name, value in after.items() if value != before[name]}
    assert different in ({"penalty_start", "penalty_gain"}, *({name} for name in before))


def test_names_and_folders_are_unique_and_plain() -> None:
    assert len({run.name for run in WITHOUT}) == len({run.folder for run in WITHOUT}) == len(WITHOUT)
    assert all(run.folder.replace("-", "").isalnum() for run in WITHOUT)


def batcher(miniature: Miniature, corpus: Corpus, **changed: bool) -> Batcher:
    recipe = replace(RECIPE, **changed)  # type: ignore[arg-type]
    return Batcher(corpus, miniature.teacher, miniature.documents.lengths, recipe)


def spread(miniature: Miniature, made: Batcher) -> float:
    """Mean cosine of the documents of a batch with each other, over many batches."""
    found = []
    for step in range(40):
        vectors = miniature.teacher.document_vectors[made.batch(step, 4, 8).documents]
        found.append((vectors @ vectors.T).mean())
    return float(np.mean(found))


def test_batches_without_neighbours_are_drawn_from_everything(miniature: Miniature) -> None:
    near, drawn = (spread(miniature, batcher(miniature, miniature.corpus, neighbours=kept)) for kept in (True, False))
    assert drawn < near


def test_without_generated_queries_only_questions_are_asked(miniature: Miniature) -> None:
    queries = [
        replace(query, kind="title") if place % 2 else query for place, query in enumerate(miniature.corpus.queries)
    ]
    corpus = Corpus(miniature.corpus.documents, queries)
    kinds = {
        kept: {queries[row].kind for step in range(20) for row in made.batch(step, 8, 12).queries}
        for kept in (True, False)
        if (made := batcher(miniature, corpus, generated_queries=kept))
    }
    assert kinds == {True: {"asked", "title"}, False: {"asked"}}


def test_the_card_has_a_row_for_each_training() -> None:
    ablation = Ablation(
        200,
        {"with everything": {"med/dev": 0.5, "padded": 0.7}, "without labels": {"med/dev": 0.4, "padded": 0.6}},
        {"with everything": {"med/dev": 200.4}, "without labels": {"med/dev": 180.0}},
    )
    text = sparse_card("a-bundle", ["medquad"], CURVE, replace(MEASURED, ablation=ablation))
    assert "Trainings of 200 steps" in text
    assert "| | med/dev | padded | terms, med/dev |" in text
    assert "| without labels | .400 | .600 | 180 |" in text
