"""The sparse student: a standard BertForMaskedLM for documents, and one weight per word piece for queries."""

import torch
from torch import nn
from transformers import BertForMaskedLM

from scripts.starter.pooling import active_terms


class SparseStudent(nn.Module):
    """Document encoder and inference-free query weights, trained together.

    A query is the set of its word pieces, each with its IDF times exp(adjustment): the adjustment learns what IDF
    cannot know, above all that question words and filler words say nothing about the topic.
    """

    idf: torch.Tensor

    def __init__(self, encoder: BertForMaskedLM, idf: torch.Tensor) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("idf", idf)
        self.adjustment = nn.Parameter(torch.zeros_like(idf))

    def query_weights(self) -> torch.Tensor:
        """Weights [vocabulary] of word pieces in a query."""
        return self.idf * torch.exp(self.adjustment.clamp(-4.0, 2.0))

    def head_states(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """What the decoder multiplies with the word embeddings [texts, length, hidden]."""
        with torch.autocast(ids.device.type, torch.bfloat16):
            hidden = self.encoder.bert(input_ids=ids, attention_mask=mask).last_hidden_state
        # The head's initial bias is large (see head.py): in bfloat16 it would swallow the signal.
        states: torch.Tensor = self.encoder.cls.predictions.transform(hidden.float())
        return states

    def documents(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Sparse document vectors [texts, vocabulary]."""
        decoder = self.encoder.cls.predictions.decoder
        return active_terms(self.head_states(ids, mask), mask, decoder.weight, decoder.bias)

    def scores(self, query_terms: torch.Tensor, columns: torch.Tensor, documents: torch.Tensor) -> torch.Tensor:
        """Dot products [queries, texts]; `query_terms` [queries, columns] is 1 where a query has the word piece
        `columns` [columns] names."""
        return (query_terms * self.query_weights()[columns]) @ documents[:, columns].T
