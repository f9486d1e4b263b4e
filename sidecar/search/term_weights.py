"""What a query would give a term: the query side's weights of terms that no query named.

A model that looks queries up has one weight for each term. It is asked for them by texts: those of the documents, and
the terms themselves, which the documents may not contain. As in counting frequencies, a text's query is a look-up.
"""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.domain import Encoding, Pruning, Side, SparseVector, WindowPolicy, Windows
from sidecar.errors import UnknownModel
from sidecar.search.collection_idf import adapted
from sidecar.search.encoding import Record
from sidecar.search.ports import Sidecar
from sidecar.search.profile import Sparse
from sidecar.search.text import well_formed

__all__ = ["TermWeights"]

LOOKED_UP = ("idf", "binary")
"""Query modes without inference."""

MAX_CHARACTERS = 16_384
"""Read of each text: what a term weighs is the same wherever it stands."""

WHOLE = Windows(WindowPolicy.SLIDE, max_windows=1_000)


class TermWeights:
    """Asks a sidecar for one retriever's weights of terms."""

    def __init__(self, sidecar: Sidecar, retriever: Sparse) -> None:
        self._sidecar = sidecar
        self._retriever = retriever
        self._looks_up: dict[str, bool] = {}

    async def of(
        self, terms: Sequence[str], texts: Sequence[str], record: Record, timeout: float
    ) -> SparseVector | None:
        """Return the weights of all terms that `texts` and `terms` have, as the retriever weighs them in a query.

        A piece of a word is found by a text that holds the word, and by nothing else. None: the model weighs terms by
        what they mean in a text, so that no term has a weight of its own. Raises what the sidecar raises.
        """
        meta = await record.get()
        if not await self._looks_queries_up(meta.fingerprint, timeout):
            return None
        asked = [well_formed(text) for text in (*(text[:MAX_CHARACTERS] for text in texts), " ".join(terms))]
        asked = [text for text in asked if text.strip()]
        if not asked:
            return SparseVector()
        answer = await self._sidecar.encode(
            asked,
            side=Side.QUERY,
            model=self._retriever.model or meta.bundle,
            pruning=Pruning(),
            windows=WHOLE,
            return_terms=True,
            expected_fingerprint=meta.fingerprint,
            timeout=timeout,
        )
        found = Encoding(_merged(answer.encodings))
        share = self._retriever.collection_idf
        if share and record.frequencies is not None:
            return adapted(found, record.frequencies, share)
        return found.vector

    async def _looks_queries_up(self, fingerprint: str, timeout: float) -> bool:
        if fingerprint not in self._looks_up:
            models = await self._sidecar.models(timeout=timeout)
            self._looks_up |= {model.fingerprint: model.query_mode in LOOKED_UP for model in models}
        if fingerprint not in self._looks_up:
            raise UnknownModel("The sidecar does not list the model that encoded the index: serve it.")
        return self._looks_up[fingerprint]


def _merged(encodings: Sequence[Encoding]) -> SparseVector:
    """Return each term of the texts once, in a query's order; what repetition made of a weight is taken out."""
    found: dict[int, tuple[float, str]] = {}
    for encoding in encodings:
        vector = encoding.vector
        factors = encoding.repetition or (1.0,) * len(vector)
        for (term_id, weight), term, factor in zip(vector, vector.terms, factors, strict=True):
            # Quotients of one weight may differ in the last digit; the order of texts must not.
            found[term_id] = max((weight / factor, term), found.get(term_id, (0.0, term)))
    ordered = sorted(found.items(), key=lambda one: (-one[1][0], one[0]))
    return SparseVector(
        tuple(term_id for term_id, _ in ordered),
        tuple(weight for _, (weight, _) in ordered),
        tuple(term for _, (_, term) in ordered),
    )
