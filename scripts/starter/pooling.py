"""SPLADE pooling for training: the maximum over the sequence, without the gradient of the whole logit tensor."""

from typing import NamedTuple

import torch
from torch.nn import functional

from scripts.starter.precision import arithmetic

TILES = 8


def active_terms(
    hidden: torch.Tensor, mask: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, tiles: int = TILES
) -> torch.Tensor:
    """log1p(relu(max over tokens of hidden @ weight.T + bias)) [texts, vocabulary], differentiable.

    `hidden` [texts, length, hidden], `mask` [texts, length], `weight` [vocabulary, hidden], `bias` [vocabulary].
    Only the token that gave a term's maximum has a gradient, and only where the maximum is above 0. So the maxima
    are found without gradient, in bfloat16 where that is fast, in tiles of the vocabulary, and the few hundred active
    logits of a text are computed again with it. (Formal et al., SPLADE v2, arXiv 2109.10086, for the pooling itself.)
    """
    filled = without_padding(hidden, mask)
    maxima, positions = token_maxima(filled.detach(), weight.detach(), tiles)
    rows, terms = torch.nonzero(maxima + bias.detach() > 0, as_tuple=True)
    logits = (filled[rows, positions[rows, terms]] * functional.embedding(terms, weight)).sum(dim=1) + bias[terms]
    activations = torch.log1p(torch.relu(logits))
    return hidden.new_zeros(maxima.shape, dtype=activations.dtype).index_put((rows, terms), activations)


def without_padding(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Hidden states in which a padded position repeats the first token: if it wins a maximum, then with that value."""
    return torch.where(mask[:, :, None].bool(), hidden, hidden[:, :1])


class Maxima(NamedTuple):
    """Largest logit of each term and the token that gave it, both [texts, vocabulary]."""

    values: torch.Tensor
    positions: torch.Tensor


@torch.no_grad()
def token_maxima(hidden: torch.Tensor, weight: torch.Tensor, tiles: int = TILES) -> Maxima:
    """Maxima over the sequence of hidden @ weight.T, in bfloat16 where that is fast, one tile after the other."""
    precision = arithmetic(hidden.device)
    states = hidden.to(precision)
    found = [(states @ tile.to(precision).T).max(dim=1) for tile in weight.chunk(tiles)]
    return Maxima(
        torch.cat([tile.values.float() for tile in found], dim=1), torch.cat([tile.indices for tile in found], dim=1)
    )


def pruned_terms(documents: torch.Tensor, ratio: float) -> torch.Tensor:
    """How many terms of each document [texts] are at least `ratio` of its largest weight, and above 0."""
    largest = documents.max(dim=1, keepdim=True).values
    return ((documents > 0) & (documents >= ratio * largest)).sum(dim=1)
