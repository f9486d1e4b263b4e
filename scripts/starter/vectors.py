"""Sparse vectors of many texts, as the sidecar would make them: for choosing and reporting, not for serving."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack  # type: ignore[import-untyped,unused-ignore]

from scripts.starter.student import SparseStudent
from scripts.starter.tokens import TokenTable


@torch.no_grad()
def encode_documents(
    student: SparseStudent,
    tokens: TokenTable,
    rows: NDArray[np.int64],
    max_tokens: int,
    ratio: float,
    device: torch.device,
) -> csr_matrix:
    """Document vectors [len(rows), vocabulary], pruned below `ratio` of each document's largest weight."""
    student.eval()
    order = np.argsort(tokens.lengths[rows], kind="stable")
    parts = []
    for part in np.array_split(order, max(1, len(order) // 16)):
        vectors = student.documents(*tokens.batch(rows[part], max_tokens, device))
        vectors *= vectors >= ratio * vectors.max(dim=1, keepdim=True).values
        parts.append(csr_matrix(vectors.cpu().numpy()))
    return csr_matrix(vstack(parts))[np.argsort(order)]


def query_matrix(tokens: TokenTable, rows: NDArray[np.int64], weights: NDArray[np.float32]) -> csr_matrix:
    """Inference-free query vectors [len(rows), vocabulary]: each distinct word piece with its weight."""
    pieces = [np.unique(tokens.pieces(int(row))) for row in rows]
    starts = np.cumsum([0, *map(len, pieces)])
    columns = np.concatenate(pieces)
    return csr_matrix((weights[columns], columns, starts), shape=(len(rows), len(weights)))


def dot(queries: csr_matrix, documents: csr_matrix) -> NDArray[np.float32]:
    """Exact scores [queries, documents]."""
    return np.asarray((queries @ documents.T).todense(), dtype=np.float32)


def reciprocal_rank(scores: NDArray[np.float32], relevant: NDArray[np.int64], depth: int = 10) -> float:
    """MRR@depth of scores [queries, documents] with one relevant document each; ties count against it."""
    own = scores[np.arange(len(scores)), relevant]
    ranks = (scores >= own[:, None]).sum(axis=1)
    return float(np.where(ranks <= depth, 1 / ranks, 0).mean())
