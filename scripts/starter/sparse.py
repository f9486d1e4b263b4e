"""Distilling the teacher into the sparse student."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from scripts.starter.batches import Batch, Batcher
from scripts.starter.pooling import pruned_terms
from scripts.starter.recipe import SparseRecipe
from scripts.starter.student import SparseStudent
from scripts.starter.teacher import Teacher
from scripts.starter.tokens import TokenTable

# Documents of similar length go through the body together: a third less padding.
MICRO_BATCH = 8
PENALTY_RANGE = (1e-5, 0.3)


class SparseTrainer:
    """KL divergence from the teacher over each batch, and a sparsity penalty that finds its own weight.

    The penalty is FLOPS (Paria et al., arXiv 2004.05665) plus a little L1, each term divided by its IDF: terms that
    every document has cost most and tell least. Its weight rises while documents have more terms than wanted and
    falls while they have fewer, so that nothing has to be tuned against a moving target.
    """

    def __init__(
        self,
        student: SparseStudent,
        teacher: Teacher,
        batcher: Batcher,
        document_tokens: TokenTable,
        query_tokens: TokenTable,
        recipe: SparseRecipe,
        device: torch.device,
    ) -> None:
        self.model = student
        self.optimiser = _optimiser(student, recipe)
        self._student, self._teacher, self._batcher = student, teacher, batcher
        self._documents, self._queries = document_tokens, query_tokens
        self._recipe, self._device = recipe, device
        self._cost = (student.idf.mean() / student.idf.clamp_min(student.idf.mean() / 5)).detach()
        self.penalty = recipe.penalty_start

    def step(self, step: int) -> dict[str, float]:
        """Gradients of one step; divergence, penalty and terms per document of the batch."""
        recipe = self._recipe
        long = step % recipe.long_every == recipe.long_every - 1
        size = recipe.documents // 2 if long else recipe.documents
        batch = self._batcher.batch(step, size, recipe.queries, long=long)
        self._student.train()
        documents = self._encode(batch.documents, recipe.long_tokens if long else recipe.max_tokens)
        divergence = self._divergence(batch, documents)
        terms = float(pruned_terms(documents.detach(), recipe.prune_ratio).float().mean())
        mean = documents.mean(dim=0)
        penalty = ((mean.square() + 0.1 * mean) * self._cost).sum()
        anchor = self._student.adjustment.square().mean()
        (divergence + self.penalty * penalty + recipe.query_decay * anchor).backward()  # type: ignore[no-untyped-call]
        if not long:
            self._steer(terms)
        return {"divergence": float(divergence.detach()), "terms": terms, "penalty": self.penalty}

    def _steer(self, terms: float) -> None:
        error = max(-1.0, min(1.0, terms / self._recipe.target_terms - 1))
        low, high = PENALTY_RANGE
        self.penalty = min(high, max(low, self.penalty * (1 + self._recipe.penalty_gain * error)))

    def extra_state(self) -> dict[str, Any]:
        return {"penalty": self.penalty}

    def restore(self, extra: dict[str, Any]) -> None:
        self.penalty = extra["penalty"]

    def _encode(self, rows: NDArray[np.int64], max_tokens: int) -> torch.Tensor:
        order = np.argsort(self._documents.lengths[rows], kind="stable")
        parts = [
            self._student.documents(*self._documents.batch(rows[part], max_tokens, self._device))
            for part in np.array_split(order, max(1, len(order) // MICRO_BATCH))
        ]
        return torch.cat(parts)[torch.from_numpy(np.argsort(order)).to(self._device)]

    def _divergence(self, batch: Batch, documents: torch.Tensor) -> torch.Tensor:
        recipe = self._recipe
        rows = [np.unique(self._queries.pieces(int(query))) for query in batch.queries]
        columns = np.unique(np.concatenate(rows))
        present = np.zeros((len(rows), len(columns)), dtype=np.float32)
        for line, pieces in enumerate(rows):
            present[line, np.searchsorted(columns, pieces)] = 1.0
        scores = self._student.scores(
            torch.from_numpy(present).to(self._device),
            torch.from_numpy(columns.astype(np.int64)).to(self._device),
            documents,
        )
        wanted = torch.from_numpy(self._teacher.scores(batch.queries, batch.documents)).to(self._device)
        return functional.kl_div(
            functional.log_softmax(scores / recipe.temperature, dim=1),
            functional.log_softmax(recipe.teacher_sharpness * wanted, dim=1),
            reduction="batchmean",
            log_target=True,
        )


def _optimiser(student: SparseStudent, recipe: SparseRecipe) -> torch.optim.AdamW:
    predictions = student.encoder.cls.predictions
    head = [*predictions.transform.parameters(), predictions.decoder.bias]
    apart = {id(parameter) for parameter in (*head, student.adjustment)}
    body = [parameter for parameter in student.parameters() if id(parameter) not in apart]
    groups = [
        {"params": body, "initial": recipe.body_rate, "weight_decay": 0.01},
        {"params": head, "initial": recipe.head_rate, "weight_decay": 0.0},
        {"params": [student.adjustment], "initial": recipe.query_rate, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.body_rate, betas=(0.9, 0.98), fused=True)
