"""The steps of the training, each of which can be killed and started again."""

import json
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix  # type: ignore[import-untyped,unused-ignore]
from torch import nn
from transformers import PreTrainedModel

from scripts.starter import calibration, candidates, folders
from scripts.starter.batches import Batcher
from scripts.starter.checkpoint import replace_file
from scripts.starter.export import export_sparse
from scripts.starter.first_stage import FirstStage
from scripts.starter.head import build_student
from scripts.starter.loop import Schedule, train
from scripts.starter.recipe import FloorRecipe, RerankerRecipe, SparseRecipe
from scripts.starter.reranker import RerankerTrainer, build_reranker, score_lists
from scripts.starter.sparse import SparseTrainer
from scripts.starter.student import SparseStudent
from scripts.starter.tokens import PairTable
from scripts.starter.vectors import dot, encode_documents, pruned, reciprocal_rank
from scripts.starter.workspace import Workspace, base_folder

HEAD_DOCUMENTS = 1000
INITIAL = "sparse.initial.pt"


def prepare(work: Workspace) -> None:
    """Corpus, teacher vectors and document frequencies."""
    corpus = work.corpus
    work.progress(f"{len(corpus.documents)} documents, {len(corpus.queries)} queries")
    work.progress(f"{len(work.folding.columns)} terms after folding")
    work.teacher.scores(np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64))


def initial_student(work: Workspace) -> SparseStudent:
    """The student before the first step, from the work folder where it was made before."""
    path = work.folder / INITIAL
    random = np.random.default_rng(SparseRecipe().seed)
    rows = random.permutation(len(work.corpus.documents))[:HEAD_DOCUMENTS]
    student = build_student(
        base_folder(),
        work.document_tokens,
        work.folding,
        work.query_weights,
        FloorRecipe().weight,
        SparseRecipe().temperature,
        None if path.exists() else rows,
        work.device,
    )
    if path.exists():
        student.load_state_dict(torch.load(path, map_location=work.device, weights_only=True))
    else:
        student.close_columns(asked_columns(work))
        with replace_file(path) as partial:
            torch.save(student.state_dict(), partial)
    return student


def asked_columns(work: Workspace) -> torch.Tensor:
    """Which columns enough training queries ask for, bool [columns]."""
    owners = np.asarray([query.document for query in work.corpus.queries])
    held_out = np.asarray([row.held_out for row in work.corpus.documents])
    trained = work.texts.queries.counts[np.flatnonzero(~held_out[owners])]
    return torch.from_numpy(np.asarray(trained.getnnz(axis=0)) >= SparseRecipe().asked_at_least)


def train_sparse(work: Workspace, recipe: SparseRecipe) -> None:
    """Train the sparse student to the end and save it as a checkpoint folder."""
    student = initial_student(work)
    teacher = work.teacher
    batcher = Batcher(work.corpus, teacher, work.document_tokens.lengths, recipe)
    trainer = SparseTrainer(student, teacher, batcher, work.texts, recipe, FloorRecipe(), work.device)
    train(
        trainer,
        Schedule(recipe.steps, recipe.warm_up),
        work.checkpoints("sparse"),
        recipe.checkpoint_every,
        work.folder / "sparse.curve.jsonl",
        work.progress,
    )
    folders.save_sparse(
        student, work.folding, FloorRecipe(), work.texts.average_length, base_folder(), work.sparse_folder
    )
    work.progress(f"held-out MRR@10: {held_out_sparse(work, student, recipe):.4f}")


def held_out_sparse(work: Workspace, student: SparseStudent, recipe: SparseRecipe) -> float:
    """MRR@10 of the held-out questions among the held-out documents."""
    documents, queries = work.held_out()
    texts = work.texts
    floor = texts.documents.saturated(documents, FloorRecipe(), texts.average_length)
    learned = encode_documents(student, work.document_tokens, documents, recipe.max_tokens, work.device)
    vectors = pruned(learned + FloorRecipe().served * floor, recipe.prune_ratio)
    asked = texts.queries.damped(queries).multiply(student.query_weights().detach().cpu().numpy())
    scores = dot(csr_matrix(asked), vectors)
    return reciprocal_rank(scores, np.searchsorted(documents, work.teacher.labels[queries]))


def reranker_candidates(work: Workspace, recipe: RerankerRecipe) -> candidates.Candidates:
    """What the finished sparse encoder finds among a sample of the trained passages, for questions about them.

    Questions whose passage BM25 does not find first come first: they teach that overlap is not relevance.
    """
    corpus = work.corpus
    random = np.random.default_rng(recipe.seed)
    trained = np.flatnonzero([not row.held_out for row in corpus.documents])
    documents = np.sort(random.permutation(trained)[: recipe.passages])
    inside = set(documents.tolist())
    asked = [i for i, row in enumerate(corpus.queries) if row.kind == "asked" and row.document in inside]
    queries = np.sort(random.permutation(np.asarray(asked))[: 2 * recipe.pool])
    return _mined(work, "trained", queries, documents).hardest_first(recipe.pool, random)


def train_reranker(work: Workspace, recipe: RerankerRecipe) -> None:
    """Train the cross-encoder to the end, calibrate it on held-out questions, and save it as a checkpoint folder."""
    mined = reranker_candidates(work, recipe)
    model = build_reranker(base_folder(), work.device)
    pairs = PairTable(work.query_tokens, work.document_tokens)
    trainer = RerankerTrainer(model, work.teacher, mined, pairs, recipe, work.device)
    train(
        trainer,
        Schedule(recipe.steps, recipe.warm_up),
        work.checkpoints("reranker"),
        recipe.checkpoint_every,
        work.folder / "reranker.curve.jsonl",
        work.progress,
    )
    calibrate(work, model, pairs, recipe)
    folders.save_reranker(model, base_folder(), work.reranker_folder)


def calibrate(work: Workspace, model: PreTrainedModel, pairs: PairTable, recipe: RerankerRecipe) -> None:
    """Scale the logits on half of the held-out questions; the error on the other half goes into `calibration.json`."""
    documents, queries = work.held_out()
    random = np.random.default_rng(recipe.seed)
    chosen = np.sort(random.permutation(queries)[: recipe.calibration])
    mined = _mined(work, "held-out", chosen, documents)
    labels = work.teacher.labels[chosen]
    lists = np.concatenate([labels[:, None], mined.near[:, : recipe.candidates - 1]], axis=1)
    logits = score_lists(model, pairs, chosen, lists, recipe.long_tokens, work.device)
    truth = (lists == labels[:, None]).astype(np.float32)
    half = random.permutation(len(chosen)) < len(chosen) // 2
    scaling = calibration.fit(logits[half].ravel(), truth[half].ravel())
    before = calibration.calibration_error(logits[~half].ravel(), truth[~half].ravel())
    scaled = (scaling.scale * logits[~half] + scaling.shift).astype(np.float32)
    after = calibration.calibration_error(scaled.ravel(), truth[~half].ravel())
    calibration.apply(scaling, cast(nn.Linear, model.classifier))
    figures = {
        "pairs": int((~half).sum()) * recipe.candidates,
        "error before": round(before, 4),
        "error after": round(after, 4),
        "label first": round(float((logits[~half].argmax(axis=1) == 0).mean()), 4),
    }
    work.progress(f"calibration: {figures}")
    with replace_file(work.folder / "calibration.json") as partial:
        partial.write_text(json.dumps(figures, indent=2), encoding="utf-8")


def _mined(
    work: Workspace, name: str, queries: NDArray[np.int64], documents: NDArray[np.int64]
) -> candidates.Candidates:
    corpus, teacher = work.corpus, work.teacher
    path = work.folder / f"candidates.{name}.npz"
    bundle = export_sparse(work, work.folder / "bundles")
    texts = [corpus.documents[row].text for row in documents.tolist()]
    stage = FirstStage(bundle, work.folder / f"first-stage.{name}.npz", texts, work.progress)
    try:
        return candidates.mine(
            path,
            queries,
            documents,
            teacher.labels[queries],
            lambda rows: stage.scores([corpus.queries[row].text for row in rows.tolist()]),
            lambda rows: teacher.lexical.scores(rows, documents),
            work.progress,
        )
    finally:
        stage.close()


def space_needed(folder: Path) -> str:
    """What a run takes, said before it starts."""
    return (
        f"work folder {folder}: about 1.2 GB of disk and 6 GB of memory; on two CPU cores about 20 minutes to prepare, "
        "20 to 50 for the sparse encoder, 60 for the cross-encoder and 120 to measure. "
        "A run that is killed goes on at its last checkpoint."
    )
