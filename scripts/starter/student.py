"""The sparse student: a standard BertForMaskedLM for documents, and one weight per term for queries."""

import torch
from torch import nn
from torch.nn import functional
from transformers import BertForMaskedLM

from scripts.starter.pooling import active_terms

# A decoder bias that no hidden state can lift above 0: the term never enters a vector.
NEVER = -1e4


class SparseStudent(nn.Module):
    """Document encoder, weight of the lexical floor, and inference-free query weights, trained together.

    Vectors have one column per term of the folded vocabulary: `columns` [columns] holds the term ids. A query is the
    set of its terms, each with its IDF times exp(adjustment): the adjustment learns what IDF cannot know, above all
    that filler words say nothing about the topic.
    """

    idf: torch.Tensor
    columns: torch.Tensor

    def __init__(self, encoder: BertForMaskedLM, idf: torch.Tensor, columns: torch.Tensor, floor: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("idf", idf)
        self.register_buffer("columns", columns)
        self.adjustment = nn.Parameter(torch.zeros_like(idf))
        self.floor_logarithm = nn.Parameter(torch.tensor(float(floor)).log())
        self.query_scale = nn.Parameter(torch.zeros(()))

    def query_weights(self) -> torch.Tensor:
        """Weights [columns] of terms in a query."""
        return self.idf * torch.exp(self.adjustment.clamp(-4.0, 2.0))

    def floor(self) -> torch.Tensor:
        """What one unit of term saturation adds to a document's weight; a scalar."""
        return self.floor_logarithm.exp()

    def head_states(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """What the decoder multiplies with the word embeddings [texts, length, hidden]."""
        with torch.autocast(ids.device.type, torch.bfloat16):
            hidden = self.encoder.bert(input_ids=ids, attention_mask=mask).last_hidden_state
        # The head's initial bias is large (see head.py): in bfloat16 it would swallow the signal.
        states: torch.Tensor = self.encoder.cls.predictions.transform(hidden.float())
        return states

    def learned(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Sparse vectors [texts, columns] without the floor."""
        decoder = self.encoder.cls.predictions.decoder
        rows = functional.embedding(self.columns, decoder.weight)
        return active_terms(self.head_states(ids, mask), mask, rows, decoder.bias[self.columns])

    def scores(self, query_terms: torch.Tensor, documents: torch.Tensor) -> torch.Tensor:
        """Dot products [queries, texts]; `query_terms` [queries, columns] is 1 where a query has the term."""
        return (query_terms * self.query_weights()) @ documents.T

    def close_dead_columns(self) -> None:
        """Let the decoder itself never give a term that is no column, as the checkpoint is used without them."""
        with torch.no_grad():
            bias = self.encoder.cls.predictions.decoder.bias
            dead = torch.ones_like(bias, dtype=torch.bool)
            dead[self.columns] = False
            bias[dead] = NEVER
