"""Distilling the teacher into the sparse student."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix  # type: ignore[import-untyped,unused-ignore]
from torch.nn import functional

from scripts.starter.batches import Batch, Batcher
from scripts.starter.pooling import pruned_terms
from scripts.starter.precision import mixed
from scripts.starter.recipe import FloorRecipe, SparseRecipe
from scripts.starter.sparse_texts import SparseTexts
from scripts.starter.student import SparseStudent
from scripts.starter.teacher import Teacher
from scripts.starter.tokens import TokenTable

# Documents of similar length go through the body together: a third less padding.
MICRO_BATCH = 12
PENALTY_RANGE = (1e-5, 0.3)


class SparseTrainer:
    """KL divergence from the teacher over each batch, and sparsity penalties that find their own weights.

    The penalty is the L1 norm of what the encoder adds to each document; terms more common than most cost more (they
    tell least). A document's own terms cost nothing, since the lexical floor has their postings anyway. FLOPS (Paria et
    al., arXiv 2004.05665) squares the mean over a batch: in batches as small as these a rare term costs next to
    nothing, and encoders add rare terms at random. The penalty's weight rises while documents have more expansions than
    wanted and falls while they have fewer, so that nothing has to be tuned against a moving target. Now and then some
    queries go through the encoder too, so that the same weights serve neural queries.
    """

    def __init__(
        self,
        student: SparseStudent,
        teacher: Teacher,
        batcher: Batcher,
        texts: SparseTexts,
        recipe: SparseRecipe,
        floor: FloorRecipe,
        device: torch.device,
    ) -> None:
        self.model = student
        self.optimiser = _optimiser(student, recipe)
        self._student, self._teacher, self._batcher, self._texts = student, teacher, batcher, texts
        self._recipe, self._floor, self._device = recipe, floor, device
        self._cost = (student.idf.mean() / student.idf).clamp(1.0, recipe.dearest_term).detach()
        self.penalty = self.query_penalty = recipe.penalty_start

    def step(self, step: int) -> dict[str, float]:
        """Gradients of one step; divergences, penalty and terms per document of the batch."""
        recipe = self._recipe
        long = step % recipe.long_every == recipe.long_every - 1
        size = recipe.documents // 2 if long else recipe.documents
        batch = self._batcher.batch(step, size, recipe.queries, long=long)
        self._student.train()
        tokens = self._texts.document_tokens
        learned = self._encode(tokens, batch.documents, recipe.long_tokens if long else recipe.max_tokens)
        saturated = self._dense(
            self._texts.documents.saturated(batch.documents, self._floor, self._texts.average_length)
        )
        documents = learned + self._student.floor * saturated
        wanted = torch.from_numpy(self._teacher.scores(batch.queries, batch.documents)).to(self._device)
        divergence = self._divergence(self._student.scores(self._queries(batch, step), documents), wanted)
        terms = float(pruned_terms(documents.detach(), recipe.prune_ratio).float().mean())
        expansions = terms - float((saturated > 0).sum(dim=1).float().mean())
        penalty = (learned * (saturated == 0) * self._cost).sum(dim=1).mean()
        loss = divergence + self.penalty * penalty + recipe.query_decay * self._student.adjustment.square().mean()
        values = {"divergence": float(divergence.detach()), "terms": terms, "penalty": self.penalty}
        if step % recipe.neural_every == 0:
            neural, query_terms = self._neural(batch, documents, wanted)
            loss = loss + neural
            values |= {"query terms": query_terms}
        loss.backward()  # type: ignore[no-untyped-call]
        if not long:
            self.penalty = _steered(self.penalty, expansions / recipe.target_expansions, recipe.penalty_gain)
        return values | {"expansions": expansions, "temperature": float(self._student.temperature().detach())}

    def extra_state(self) -> dict[str, Any]:
        return {"penalty": self.penalty, "query penalty": self.query_penalty}

    def restore(self, extra: dict[str, Any]) -> None:
        self.penalty, self.query_penalty = extra["penalty"], extra["query penalty"]

    def _encode(self, tokens: TokenTable, rows: NDArray[np.int64], max_tokens: int) -> torch.Tensor:
        order = np.argsort(tokens.lengths[rows], kind="stable")
        # One context and one decoder for all parts: weights that are cast to bfloat16 are so once, not once a part.
        with mixed(self._device):
            decoder = self._student.decoder()
            parts = [
                self._student.learned(*tokens.batch(rows[part], max_tokens, self._device), decoder)
                for part in np.array_split(order, max(1, len(order) // MICRO_BATCH))
            ]
        return torch.cat(parts)[torch.from_numpy(np.argsort(order)).to(self._device)]

    def _queries(self, batch: Batch, step: int) -> torch.Tensor:
        """Terms of the queries, a share of them padded with filler; the teacher scores them as they were."""
        present = self._dense(self._texts.queries.present(batch.queries))
        random = np.random.default_rng([self._recipe.seed, step, 1])
        padded = np.flatnonzero(random.random(len(batch.queries)) < self._recipe.padded_share)
        fillers = random.integers(self._texts.fillers.shape[0], size=len(padded))
        present[padded] = torch.maximum(present[padded], self._dense(self._texts.fillers[fillers]))
        return present

    def _neural(self, batch: Batch, documents: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, float]:
        """Weighted loss of some queries that go through the encoder, and their mean number of terms."""
        recipe = self._recipe
        count = min(recipe.neural_queries, len(batch.queries))
        queries = self._encode(self._texts.query_tokens, batch.queries[:count], recipe.max_tokens)
        scores = self._student.query_scale.exp() * queries @ documents.T
        penalty = (queries * self._cost).sum(dim=1).mean()
        terms = float(pruned_terms(queries.detach(), recipe.prune_ratio).float().mean())
        loss = self._divergence(scores, wanted[:count]) + self.query_penalty * penalty
        self.query_penalty = _steered(self.query_penalty, terms / recipe.target_query_terms, recipe.penalty_gain)
        return recipe.neural_weight * loss, terms

    def _divergence(self, scores: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return functional.kl_div(
            functional.log_softmax(scores / self._student.temperature(), dim=1),
            functional.log_softmax(self._recipe.teacher_sharpness * wanted, dim=1),
            reduction="batchmean",
            log_target=True,
        )

    def _dense(self, matrix: csr_matrix) -> torch.Tensor:
        return torch.from_numpy(matrix.toarray().astype(np.float32)).to(self._device)


def _steered(penalty: float, excess: float, gain: float) -> float:
    low, high = PENALTY_RANGE
    return min(high, max(low, penalty * (1 + gain * max(-1.0, min(1.0, excess - 1)))))


def _optimiser(student: SparseStudent, recipe: SparseRecipe) -> torch.optim.AdamW:
    predictions = student.encoder.cls.predictions
    head = [*predictions.transform.parameters(), predictions.decoder.bias]
    scalars = [student.temperature_logarithm, student.query_scale]
    apart = {id(parameter) for parameter in (*head, student.adjustment, *scalars)}
    body = [parameter for parameter in student.parameters() if id(parameter) not in apart]
    groups = [
        {"params": body, "initial": recipe.body_rate, "weight_decay": 0.01},
        {"params": head, "initial": recipe.head_rate, "weight_decay": 0.0},
        {"params": [student.adjustment], "initial": recipe.query_rate, "weight_decay": 0.0},
        {"params": scalars, "initial": recipe.scalar_rate, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.body_rate, betas=(0.9, 0.98), fused=True)
