"""The teacher's scores: dense cosine and BM25 together, far above either alone."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from scripts.starter.checkpoint import replace_file
from scripts.starter.lexical import LexicalTeacher
from scripts.starter.precision import mixed
from scripts.starter.recipe import TeacherRecipe
from scripts.starter.tokens import TokenTable

HIDDEN = 384

Progress = Callable[[str], None]


def dense_vectors(
    path: Path,
    body: Callable[[], nn.Module],
    tokens: TokenTable,
    max_tokens: int,
    device: torch.device,
    progress: Progress,
) -> NDArray[np.float32]:
    """Unit mean-pooled vectors [texts, hidden] of all-MiniLM-L6-v2, computed once and kept in `path` as float16."""
    if not path.exists():
        vectors = _encode(body(), tokens, max_tokens, device, progress)
        with replace_file(path) as partial, partial.open("wb") as target:
            np.save(target, vectors.astype(np.float16))
    kept: NDArray[np.float32] = np.load(path).astype(np.float32)
    if len(kept) != len(tokens):
        raise ValueError(f"{path} holds {len(kept)} vectors for {len(tokens)} texts; remove it to compute them again")
    return kept


@torch.inference_mode()
def _encode(
    body: nn.Module, tokens: TokenTable, max_tokens: int, device: torch.device, progress: Progress
) -> NDArray[np.float32]:
    body.eval().to(device)
    vectors = np.zeros((len(tokens), HIDDEN), dtype=np.float32)
    # Similar lengths together: hardly any padding is computed.
    batches = np.array_split(np.argsort(tokens.lengths, kind="stable"), max(1, len(tokens) // 32))
    for number, rows in enumerate(batches):
        ids, mask = tokens.batch(rows, max_tokens, device)
        with mixed(device):
            hidden = body(input_ids=ids, attention_mask=mask).last_hidden_state
        pooled = (hidden.float() * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        vectors[rows] = torch.nn.functional.normalize(pooled, dim=1).cpu().numpy()
        if number % 200 == 0:
            progress(f"teacher vectors: batch {number} of {len(batches)}")
    return vectors


def standardise(scores: NDArray[np.float32], floor: float) -> NDArray[np.float32]:
    """z-scores of each row; a row's standard deviation counts as `floor` at least."""
    spread = np.maximum(scores.std(axis=1, keepdims=True), floor)
    return np.asarray((scores - scores.mean(axis=1, keepdims=True)) / spread, dtype=np.float32)


class Teacher:
    """Scores any block of queries and documents.

    `query_vectors` [Q, hidden] and `document_vectors` [D, hidden] are unit vectors, `labels` [Q] each query's own
    document.
    """

    def __init__(
        self,
        query_vectors: NDArray[np.float32],
        document_vectors: NDArray[np.float32],
        lexical: LexicalTeacher,
        labels: Sequence[int],
        recipe: TeacherRecipe,
    ) -> None:
        self.query_vectors = query_vectors
        self.document_vectors = document_vectors
        self.lexical = lexical
        self.labels = np.asarray(labels, dtype=np.int64)
        self._recipe = recipe

    def scores(self, queries: NDArray[np.int64], documents: NDArray[np.int64]) -> NDArray[np.float32]:
        """Ensemble scores [len(queries), len(documents)], standardised within each row."""
        recipe = self._recipe
        dense = self.query_vectors[queries] @ self.document_vectors[documents].T
        lexical = self.lexical.scores(queries, documents)
        own = self.labels[queries][:, None] == documents[None, :]
        scores: NDArray[np.float32] = (
            standardise(dense, recipe.dense_floor)
            + recipe.lexical_weight * standardise(lexical, recipe.lexical_floor)
            + recipe.label_bonus * own.astype(np.float32)
        )
        return scores
