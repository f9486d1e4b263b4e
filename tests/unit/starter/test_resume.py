"""A training that is killed and started again ends with the very same weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from scripts.starter.candidates import mine
from scripts.starter.checkpoint import Checkpoints, replace_file
from scripts.starter.loop import Schedule, Trainer, train
from scripts.starter.recipe import FloorRecipe, RerankerRecipe
from scripts.starter.reranker import RerankerTrainer
from scripts.starter.sparse import SparseTrainer
from scripts.starter.tokens import PairTable
from tests.unit.starter.conftest import CPU, RECIPE, Miniature


def sparse_trainer(miniature: Miniature) -> SparseTrainer:
    return SparseTrainer(
        miniature.student(), miniature.teacher, miniature.batcher(), miniature.texts, RECIPE, FloorRecipe(), CPU
    )


def reranker_trainer(miniature: Miniature, folder: Path) -> RerankerTrainer:
    torch.manual_seed(4)
    model = BertForSequenceClassification(
        BertConfig(
            vocab_size=miniature.tokenizer.get_vocab_size(),
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=48,
            max_position_embeddings=64,
            num_labels=1,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )
    allowed = np.asarray([not row.held_out for row in miniature.corpus.documents])
    rows, teacher = np.flatnonzero(allowed), miniature.teacher
    mined = mine(
        folder / "candidates.npz",
        rows,
        rows,
        teacher.labels[rows],
        lambda queries: teacher.scores(queries, rows),
        lambda queries: teacher.lexical.scores(queries, rows),
        lambda _: None,
    )
    recipe = RerankerRecipe(steps=6, queries=2, candidates=5, max_tokens=32, long_tokens=48)
    pairs = PairTable(miniature.queries, miniature.documents)
    return RerankerTrainer(model, miniature.teacher, mined, pairs, recipe, CPU)


def run(trainer: Trainer, folder: Path, stop_at: int | None = None) -> dict[str, torch.Tensor]:
    train(trainer, Schedule(6, 0.2), Checkpoints(folder / "c.pt"), 2, folder / "curve", lambda _: None, stop_at)
    return {name: value.clone() for name, value in trainer.model.state_dict().items()}


@pytest.mark.parametrize("kind", ["sparse", "reranker"])
@pytest.mark.parametrize("killed_at", [2, 5])
def test_resumed_training_gives_the_same_weights(
    miniature: Miniature, tmp_path: Path, kind: str, killed_at: int
) -> None:
    def fresh() -> Trainer:
        return sparse_trainer(miniature) if kind == "sparse" else reranker_trainer(miniature, tmp_path)

    whole = run(fresh(), tmp_path / "whole")
    run(fresh(), tmp_path / "killed", stop_at=killed_at)
    resumed = run(fresh(), tmp_path / "killed")
    assert whole.keys() == resumed.keys()
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


def test_training_changes_every_part_of_the_student(miniature: Miniature, tmp_path: Path) -> None:
    before = miniature.student().state_dict()
    after = run(sparse_trainer(miniature), tmp_path)
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert {"adjustment", "temperature_logarithm", "query_scale"} <= changed
    assert not {"idf", "columns"} & changed
    assert {name for name in changed if "transform.dense" in name}
    assert {name for name in changed if "layer.0" in name}


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_text("old")

    def write_half() -> None:
        with replace_file(path) as partial:
            partial.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_text() == "old"


def test_the_learning_rate_rises_then_falls_to_nothing() -> None:
    schedule = Schedule(100, 0.1)
    factors = [schedule.factor(step) for step in range(101)]
    assert factors[:10] == sorted(factors[:10])
    assert factors[9] == 1.0
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[100] == 0.0
