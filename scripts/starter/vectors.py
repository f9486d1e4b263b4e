"""Sparse vectors of many texts, as the sidecar would make them: for choosing and reporting, not for serving."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack  # type: ignore[import-untyped,unused-ignore]

from scripts.starter.student import SparseStudent
from scripts.starter.tokens import TokenTable


@torch.no_grad()
def encode_documents(
    student: SparseStudent, tokens: TokenTable, rows: NDArray[np.int64], max_tokens: int, device: torch.device
) -> csr_matrix:
    """Learned document vectors [len(rows), columns], without the floor and not pruned."""
    student.eval()
    order = np.argsort(tokens.lengths[rows], kind="stable")
    parts = []
    for part in np.array_split(order, max(1, len(order) // 16)):
        parts.append(csr_matrix(student.learned(*tokens.batch(rows[part], max_tokens, device)).cpu().numpy()))
    return csr_matrix(vstack(parts))[np.argsort(order)]


def pruned(vectors: csr_matrix, ratio: float) -> csr_matrix:
    """Vectors without what is below `ratio` of each row's largest weight."""
    found = csr_matrix(vectors, copy=True)
    largest = found.max(axis=1).toarray().ravel()
    found.data[found.data < ratio * np.repeat(largest, np.diff(found.indptr))] = 0
    found.eliminate_zeros()
    return found


def dot(queries: csr_matrix, documents: csr_matrix) -> NDArray[np.float32]:
    """Exact scores [queries, documents]."""
    return np.asarray((queries @ documents.T).todense(), dtype=np.float32)


def reciprocal_rank(scores: NDArray[np.float32], relevant: NDArray[np.int64], depth: int = 10) -> float:
    """MRR@depth of scores [queries, documents] with one relevant document each; ties count against it."""
    own = scores[np.arange(len(scores)), relevant]
    ranks = (scores >= own[:, None]).sum(axis=1)
    return float(np.where(ranks <= depth, 1 / ranks, 0).mean())
