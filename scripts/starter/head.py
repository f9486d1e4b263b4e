"""A first head from which training can start: every document holds roughly its own terms."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from scripts.starter.folding import Folding
from scripts.starter.pooling import token_maxima, without_padding
from scripts.starter.precision import mixed
from scripts.starter.student import SparseStudent
from scripts.starter.tokens import TokenTable

# GELU is the identity to 1e-6 above 5; LayerNorm subtracts the shift again.
SHIFT = 12.0
# IDF above which a term says what a document is about.
RARE = 2.0


class States(NamedTuple):
    """Last hidden states [tokens, hidden] and the word pieces they stand on [tokens]."""

    hidden: torch.Tensor
    pieces: torch.Tensor


def build_student(
    base: Path,
    tokens: TokenTable,
    folding: Folding,
    idf: NDArray[np.float32],
    floor: float,
    temperature: float,
    rows: NDArray[np.int64] | None,
    device: torch.device,
    active: float = 200.0,
) -> SparseStudent:
    """all-MiniLM-L6-v2's body, with a head fitted on the documents `rows` where they are given.

    `idf` [columns] is that of the folding's columns, `floor` the weight of the lexical floor.
    """
    from transformers import BertForMaskedLM

    encoder = BertForMaskedLM.from_pretrained(
        base, attn_implementation="eager", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    student = SparseStudent(encoder, torch.from_numpy(idf), torch.from_numpy(folding.columns), floor, temperature).to(
        device
    )
    if rows is not None:
        initialise_head(student, tokens, folding, rows, device, active)
    return student


def initialise_head(
    student: SparseStudent,
    tokens: TokenTable,
    folding: Folding,
    rows: NDArray[np.int64],
    device: torch.device,
    active: float,
) -> None:
    """Ridge regression from a token's last hidden state to its term's centred word embedding, then a bias per term.

    Tokens that are no term are left out.

    The transform is dense + GELU + LayerNorm; a constant added to the dense layer's bias keeps GELU linear.
    """
    predictions = student.encoder.cls.predictions
    embeddings = predictions.decoder.weight.detach()
    states = _states(student.encoder.bert, tokens, rows, device)
    canonical = torch.from_numpy(folding.canonical.astype(np.int64)).to(device)
    terms = canonical[states.pieces]
    hidden, terms = states.hidden[terms >= 0], terms[terms >= 0]
    target = embeddings[terms] - embeddings.mean(dim=0)
    solution, centre = ridge(hidden, target, student.idf[torch.searchsorted(student.columns, terms)])
    fitted = (hidden - centre) @ solution
    scale = 1.0 / fitted.std()
    with torch.no_grad():
        predictions.transform.dense.weight.copy_(scale * solution.T)
        predictions.transform.dense.bias.copy_(SHIFT - scale * centre @ solution)
        predictions.transform.LayerNorm.weight.fill_(1.0)
        predictions.transform.LayerNorm.bias.zero_()
        predictions.decoder.bias.zero_()
    _calibrate(student, tokens, canonical, rows[:256], device, active)


def ridge(
    inputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, strength: float = 1e-2
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted ridge regression: solution [inputs, targets] and the inputs' weighted centre [inputs].

    Frequent function words weigh little: `weights` [rows] is their IDF.
    """
    shares = weights / weights.sum()
    centre = shares @ inputs
    centred = inputs - centre
    gram = centred.T @ (centred * shares[:, None])
    penalty = strength * gram.diagonal().mean() * torch.eye(len(gram), device=gram.device)
    return torch.linalg.solve(gram + penalty, centred.T @ (targets * shares[:, None])), centre


@torch.inference_mode()
def _states(body: nn.Module, tokens: TokenTable, rows: NDArray[np.int64], device: torch.device) -> States:
    hidden, pieces = [], []
    for batch in np.array_split(rows, max(1, len(rows) // 32)):
        ids, mask = tokens.batch(batch, 128, device)
        with mixed(device):
            states = body(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        inner = mask.clone()
        inner[:, 0] = 0
        inner.scatter_(1, mask.sum(dim=1, keepdim=True) - 1, 0)
        hidden.append(states[inner.bool()])
        pieces.append(ids[inner.bool()])
    return States(torch.cat(hidden).clone(), torch.cat(pieces).clone())


@torch.no_grad()
def _calibrate(
    student: SparseStudent,
    tokens: TokenTable,
    canonical: torch.Tensor,
    rows: NDArray[np.int64],
    device: torch.device,
    active: float,
) -> None:
    """Set each term's bias k standard deviations below its mean maximum, k such that a document has `active` terms.

    The gain then makes the weight of a document's own terms 1 on average.
    """
    predictions = student.encoder.cls.predictions
    weight = predictions.decoder.weight[student.columns]
    maxima, owned = [], []
    for batch in np.array_split(rows, max(1, len(rows) // 16)):
        ids, mask = tokens.batch(batch, 128, device)
        states = student.head_states(ids, mask)
        filled = without_padding(states, mask)
        maxima.append(token_maxima(filled, weight).values)
        terms = canonical[ids]
        places = torch.searchsorted(student.columns, terms.clamp_min(0))
        present = torch.zeros_like(maxima[-1]).scatter_reduce_(1, places, (terms >= 0).float(), "amax")
        owned.append(present.bool())
    logits, own = torch.cat(maxima), torch.cat(owned)
    mean, spread = logits.mean(dim=0), logits.std(dim=0) + 1e-3
    standard = (logits - mean) / spread
    threshold = torch.quantile(standard[::8].flatten(), 1 - active / logits.shape[1])
    bias = -(mean + threshold * spread)
    content = own & (student.idf > min(RARE, 0.9 * float(student.idf.median())))
    excess = (logits + bias)[content].clamp_min(0)
    gain = (torch.e - 1) / excess.mean().clamp_min(1e-6)
    predictions.transform.LayerNorm.weight.mul_(gain)
    predictions.decoder.bias[student.columns] = gain * bias
