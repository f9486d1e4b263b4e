"""The steps of the training, each of which can be killed and started again."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.starter import candidates, folders
from scripts.starter.batches import Batcher
from scripts.starter.head import build_student
from scripts.starter.loop import Schedule, train
from scripts.starter.recipe import RerankerRecipe, SparseRecipe
from scripts.starter.reranker import RerankerTrainer, build_reranker
from scripts.starter.sparse import SparseTrainer
from scripts.starter.student import SparseStudent
from scripts.starter.tokens import PairTable
from scripts.starter.vectors import dot, encode_documents, query_matrix, reciprocal_rank
from scripts.starter.workspace import Workspace, base_folder

HEAD_DOCUMENTS = 1000
INITIAL = "sparse.initial.pt"


def prepare(work: Workspace) -> None:
    """Corpus and teacher vectors."""
    corpus = work.corpus
    work.progress(f"{len(corpus.documents)} documents, {len(corpus.queries)} queries")
    work.teacher.scores(np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64))


def initial_student(work: Workspace) -> SparseStudent:
    """The student before the first step, from the work folder where it was made before."""
    path = work.folder / INITIAL
    random = np.random.default_rng(SparseRecipe().seed)
    rows = random.permutation(len(work.corpus.documents))[:HEAD_DOCUMENTS]
    student = build_student(
        base_folder(), work.document_tokens, work.query_weights, None if path.exists() else rows, work.device
    )
    if path.exists():
        student.load_state_dict(torch.load(path, map_location=work.device, weights_only=True))
    else:
        torch.save(student.state_dict(), path)
    return student


def train_sparse(work: Workspace, recipe: SparseRecipe) -> None:
    """Train the sparse student to the end and save it as a checkpoint folder."""
    student = initial_student(work)
    teacher = work.teacher
    batcher = Batcher(work.corpus, teacher, work.document_tokens.lengths, recipe.max_tokens, recipe.seed)
    trainer = SparseTrainer(student, teacher, batcher, work.document_tokens, work.query_tokens, recipe, work.device)
    train(
        trainer,
        Schedule(recipe.steps, recipe.warm_up),
        work.checkpoints("sparse"),
        recipe.checkpoint_every,
        work.folder / "sparse.curve.jsonl",
        work.progress,
    )
    folders.save_sparse(student, base_folder(), work.sparse_folder)
    work.progress(f"held-out MRR@10: {held_out_sparse(work, student, recipe):.4f}")


def held_out_sparse(work: Workspace, student: SparseStudent, recipe: SparseRecipe) -> float:
    """MRR@10 of the held-out questions among the held-out documents."""
    documents, queries = work.held_out()
    weights = student.query_weights().detach().cpu().numpy()
    vectors = encode_documents(
        student, work.document_tokens, documents, recipe.max_tokens, recipe.prune_ratio, work.device
    )
    scores = dot(query_matrix(work.query_tokens, queries, weights), vectors)
    return reciprocal_rank(scores, np.searchsorted(documents, work.teacher.labels[queries]))


def reranker_candidates(work: Workspace, recipe: RerankerRecipe) -> tuple[candidates.Candidates, NDArray[np.int64]]:
    """Mined candidates of a sample of questions and sentences, and the documents that may be drawn."""
    corpus = work.corpus
    allowed = np.asarray([not row.held_out for row in corpus.documents])
    usable = [i for i, row in enumerate(corpus.queries) if allowed[row.document] and row.kind == "asked"]
    random = np.random.default_rng(recipe.seed)
    sample = np.sort(random.permutation(np.asarray(usable))[: recipe.pool])
    mined = candidates.mine(work.folder / "candidates.npz", work.teacher, sample, allowed, work.progress)
    return mined, np.flatnonzero(allowed)


def train_reranker(work: Workspace, recipe: RerankerRecipe) -> None:
    """Train the cross-encoder to the end and save it as a checkpoint folder."""
    mined, documents = reranker_candidates(work, recipe)
    model = build_reranker(base_folder(), work.device)
    trainer = RerankerTrainer(
        model, work.teacher, mined, documents, PairTable(work.query_tokens, work.document_tokens), recipe, work.device
    )
    train(
        trainer,
        Schedule(recipe.steps, recipe.warm_up),
        work.checkpoints("reranker"),
        recipe.checkpoint_every,
        work.folder / "reranker.curve.jsonl",
        work.progress,
    )
    folders.save_reranker(model, base_folder(), work.reranker_folder)


def space_needed(folder: Path) -> str:
    """What a run takes, said before it starts."""
    return (
        f"work folder {folder}: about 1.2 GB of disk and 6 GB of memory; on two CPU cores about 25 minutes to prepare, "
        "40 for the sparse encoder and 25 for the cross-encoder. A run that is killed goes on at its last checkpoint."
    )
