"""Distilling the teacher and the labels into the cross-encoder."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from transformers import BertForSequenceClassification, PreTrainedModel

from scripts.starter.candidates import Candidates, draw
from scripts.starter.precision import mixed
from scripts.starter.recipe import RerankerRecipe
from scripts.starter.teacher import Teacher
from scripts.starter.tokens import PairTable

# A document this far below the label in the teacher's scores counts as not relevant.
CLEARLY_BELOW = 1.0
MICRO_BATCH = 8


def build_reranker(base: Path, device: torch.device) -> PreTrainedModel:
    """all-MiniLM-L6-v2 as BertForSequenceClassification with one logit and no dropout."""
    torch.manual_seed(0)
    model = BertForSequenceClassification.from_pretrained(
        base, num_labels=1, attn_implementation="eager", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    model.to(device)  # type: ignore[arg-type]
    return model


class RerankerTrainer:
    """Listwise KL divergence from the teacher, and binary cross-entropy on the labels.

    The first gives the order; the second puts 0 between relevant and not, so that a sigmoid of the logit means
    something on its own.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        teacher: Teacher,
        candidates: Candidates,
        pairs: PairTable,
        recipe: RerankerRecipe,
        device: torch.device,
    ) -> None:
        self.model = model
        self._teacher, self._candidates = teacher, candidates
        self._pairs, self._recipe, self._device = pairs, recipe, device
        head = [parameter for name, parameter in model.named_parameters() if name.startswith("classifier.")]
        body = [parameter for name, parameter in model.named_parameters() if not name.startswith("classifier.")]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": body, "initial": recipe.body_rate, "weight_decay": 0.01},
                {"params": head, "initial": recipe.head_rate, "weight_decay": 0.0},
            ],
            lr=recipe.body_rate,
            betas=(0.9, 0.98),
            fused=True,
        )

    def step(self, step: int) -> dict[str, float]:
        """Gradients of one step; both losses, and how often the label came first."""
        recipe = self._recipe
        random = np.random.default_rng([recipe.seed, step])
        long = step % recipe.long_every == recipe.long_every - 1
        count = recipe.queries // 2 if long else recipe.queries
        rows = random.choice(len(self._candidates.queries), size=count, replace=False)
        queries = self._candidates.queries[rows]
        lists = [
            draw(self._candidates, int(row), label, recipe.candidates, random)
            for row, label in zip(rows, self._teacher.labels[queries].tolist(), strict=True)
        ]
        wanted = torch.from_numpy(
            np.stack([self._teacher.scores(queries[i : i + 1], documents)[0] for i, documents in enumerate(lists)])
        ).to(self._device)
        self.model.train()
        flat = (np.repeat(queries, recipe.candidates), np.concatenate(lists))
        logits = self._score(*flat, recipe.long_tokens if long else recipe.max_tokens).view(wanted.shape)
        listwise = functional.kl_div(
            functional.log_softmax(logits, dim=1),
            functional.log_softmax(recipe.teacher_sharpness * wanted, dim=1),
            reduction="batchmean",
            log_target=True,
        )
        labels = label_loss(logits, wanted)
        (recipe.listwise_weight * listwise + recipe.label_weight * labels).backward()  # type: ignore[no-untyped-call]
        first = float((logits.argmax(dim=1) == 0).float().mean())
        return {"divergence": float(listwise.detach()), "labels": float(labels.detach()), "label first": first}

    def extra_state(self) -> dict[str, Any]:
        return {"kind": "reranker"}

    def restore(self, extra: dict[str, Any]) -> None:
        """Nothing but model and optimiser changes from step to step."""

    def _score(self, queries: NDArray[np.int64], documents: NDArray[np.int64], max_tokens: int) -> torch.Tensor:
        order = np.argsort(self._pairs.lengths(queries, documents), kind="stable")
        # One context around all parts: weights that are cast to bfloat16 are so once, not once a part.
        with mixed(self._device):
            parts = [
                logits_of(self.model, self._pairs.batch(queries[part], documents[part], max_tokens, self._device))
                for part in np.array_split(order, max(1, len(order) // MICRO_BATCH))
            ]
        return torch.cat(parts)[torch.from_numpy(np.argsort(order)).to(self._device)]


def logits_of(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """One logit per pair [pairs]."""
    with mixed(batch["input_ids"].device):
        logits: torch.Tensor = model(**batch).logits
    return logits.float().squeeze(1)


@torch.no_grad()
def score_lists(
    model: PreTrainedModel,
    pairs: PairTable,
    queries: NDArray[np.int64],
    lists: NDArray[np.int64],
    max_tokens: int,
    device: torch.device,
) -> NDArray[np.float32]:
    """Logits [queries, candidates] of each query's list of documents."""
    model.eval()  # type: ignore[no-untyped-call]
    rows = [
        logits_of(model, pairs.batch(np.repeat(query, len(documents)), documents, max_tokens, device)).cpu().numpy()
        for query, documents in zip(queries, lists, strict=True)
    ]
    return np.stack(rows)


def label_loss(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the label (column 0) and of what the teacher puts clearly below it [queries, candidates]."""
    truth = torch.zeros_like(logits)
    truth[:, 0] = 1.0
    counted = wanted < wanted[:, :1] - CLEARLY_BELOW
    counted[:, 0] = True
    losses = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    positive = losses[:, 0].mean()
    others = (losses * counted)[:, 1:].sum() / counted[:, 1:].sum().clamp_min(1)
    return (positive + others) / 2
