"""Everything of the corpus that the sparse training reads: word pieces for the encoder, terms for floor and queries."""

from dataclasses import dataclass

from scipy.sparse import csr_matrix  # type: ignore[import-untyped,unused-ignore]
from tokenizers import Tokenizer

from scripts.starter.floor import OwnTerms
from scripts.starter.folding import Folding
from scripts.starter.tokens import TokenTable

# What people and chat programs put around a question. The words tell nothing about the topic, wherever they stand.
FILLERS = (
    "could you please tell me more about this",
    "i would really like to know something about the following topic, thank you very much in advance",
    "hello, i am looking for information and hope that somebody can help me with my question",
    "please find all relevant documents that discuss or mention this subject",
    "what is currently known, and what has been published so far, concerning the question of",
    "i was wondering whether you might be able to explain to me in simple words",
    "can anyone give me a short overview of everything there is to know regarding this matter",
    "we are interested in articles, papers, reports or studies dealing with the problem of",
    "thanks a lot for your time, any help is greatly appreciated",
    "my teacher asked me to write a paper and i need good sources that describe",
    "provide a detailed and helpful answer to the request given below",
    "is there any evidence or are there any facts that would help someone understand",
)


@dataclass(frozen=True, slots=True)
class SparseTexts:
    """`documents` and `queries` hold terms, the token tables word pieces; `fillers` [fillers, columns] is 0 or 1."""

    document_tokens: TokenTable
    query_tokens: TokenTable
    documents: OwnTerms
    queries: OwnTerms
    fillers: csr_matrix

    @classmethod
    def of(cls, documents: TokenTable, queries: TokenTable, folding: Folding, tokenizer: Tokenizer) -> "SparseTexts":
        """Fold both sides."""
        fillers = OwnTerms.of(TokenTable(FILLERS, tokenizer), folding)
        present = fillers.counts.minimum(1)
        return cls(
            documents, queries, OwnTerms.of(documents, folding), OwnTerms.of(queries, folding), csr_matrix(present)
        )

    @property
    def average_length(self) -> float:
        """Mean number of terms of a document: what the floor's length normalisation is relative to."""
        return self.documents.average_length
