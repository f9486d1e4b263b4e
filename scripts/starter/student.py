"""The sparse student: a standard BertForMaskedLM for documents, and one weight per term for queries."""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional
from transformers import BertForMaskedLM

from scripts.starter.pooling import active_terms
from scripts.starter.precision import mixed

# A decoder bias that no hidden state can lift above 0: the term never enters a vector.
NEVER = -1e4


class Decoder(NamedTuple):
    """What a head state is multiplied with: `weight` [columns, hidden] and `bias` [columns]."""

    weight: torch.Tensor
    bias: torch.Tensor


class SparseStudent(nn.Module):
    """Document encoder and inference-free query weights, trained together on top of a lexical floor of fixed weight.

    Vectors have one column per term of the folded vocabulary: `columns` [columns] holds the term ids. A query is the
    set of its terms, each with its IDF times exp(adjustment): the adjustment learns what IDF cannot know, above all
    that filler words say nothing about the topic.
    """

    idf: torch.Tensor
    columns: torch.Tensor

    def __init__(
        self, encoder: BertForMaskedLM, idf: torch.Tensor, columns: torch.Tensor, floor: float, temperature: float
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("idf", idf)
        self.register_buffer("columns", columns)
        self.adjustment = nn.Parameter(torch.zeros_like(idf))
        self.floor = floor
        self.temperature_logarithm = nn.Parameter(torch.tensor(float(temperature)).log())
        self.query_scale = nn.Parameter(torch.zeros(()))

    def query_weights(self) -> torch.Tensor:
        """Weights [columns] of terms in a query."""
        return self.idf * torch.exp(self.adjustment.clamp(-4.0, 2.0))

    def temperature(self) -> torch.Tensor:
        """What scores are divided by before they are compared with the teacher's; a scalar."""
        return self.temperature_logarithm.exp()

    def head_states(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """What the decoder multiplies with the word embeddings [texts, length, hidden]."""
        with mixed(ids.device):
            hidden = self.encoder.bert(input_ids=ids, attention_mask=mask).last_hidden_state
        # The head's initial bias is large (see head.py): in bfloat16 it would swallow the signal.
        with torch.autocast(ids.device.type, enabled=False):
            states: torch.Tensor = self.encoder.cls.predictions.transform(hidden.float())
        return states

    def decoder(self) -> Decoder:
        """The decoder's part that belongs to the columns: taken once a step, since its gradient is large."""
        decoder = self.encoder.cls.predictions.decoder
        return Decoder(functional.embedding(self.columns, decoder.weight), decoder.bias[self.columns])

    def learned(self, ids: torch.Tensor, mask: torch.Tensor, decoder: Decoder | None = None) -> torch.Tensor:
        """Sparse vectors [texts, columns] without the floor; `decoder` where several calls share it."""
        weight, bias = decoder or self.decoder()
        return active_terms(self.head_states(ids, mask), mask, weight, bias)

    def scores(self, query_terms: torch.Tensor, documents: torch.Tensor) -> torch.Tensor:
        """Dot products [queries, texts]; `query_terms` [queries, columns] is 1 where a query has the term."""
        return (query_terms * self.query_weights()) @ documents.T

    def close_columns(self, asked: torch.Tensor) -> None:
        """Let the decoder never give a term that is no column, nor one whose column [columns] is not `asked`.

        A term that no query of the training asks for would be added at random: nothing tells good from bad.
        """
        with torch.no_grad():
            bias = self.encoder.cls.predictions.decoder.bias
            dead = torch.ones_like(bias, dtype=torch.bool)
            dead[self.columns[asked]] = False
            bias[dead] = NEVER
