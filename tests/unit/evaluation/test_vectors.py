"""Terms of queries and of documents are counted by the same names, or their products are lost."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sidecar.domain import EncodeResult, Encoding, Query, SparseVector
from sidecar.engine import IndexMeta
from sidecar.evaluation import JudgedQueries
from sidecar.evaluation.statistics import VectorCounts
from sidecar.evaluation.target import Target
from sidecar.evaluation.vectors import vector_report


class TwoTerms:
    """Encodes every text to the terms `3.5` and `wolf`."""

    async def encode(self, texts: Sequence[str], **_how: object) -> EncodeResult:
        vector = SparseVector((7, 9), (2.0, 1.0), ("3.5", "wolf"))
        return EncodeResult((Encoding(vector),) * len(texts), "m", "a" * 64)


@pytest.mark.parametrize(("dialect", "stored"), [("rank_features", ["3%2E5", "snow"]), ("seismic", ["7", "8"])])
async def test_a_term_counts_whatever_its_dialect_calls_it(dialect: str, stored: list[str]) -> None:
    """A dot is escaped in a feature's name, and `seismic` keeps ids: of two terms the document has one."""
    queries = tuple(Query(f"q{number}", "?") for number in range(3))
    meta = IndexMeta(fingerprint="a" * 64, bundle="m", dialect=dialect)
    target = Target(JudgedQueries("made", "test", queries, {}), "i", meta, {})
    documents = VectorCounts()
    documents.add(stored)
    report = await vector_report(TwoTerms(), target, documents)  # type: ignore[arg-type]  # the part that is asked
    assert report.mean_query_terms == 2.0
    assert report.flops == 1.0
    assert report.mean_document_terms == 2.0


async def test_no_document_gives_no_figures_of_documents() -> None:
    meta = IndexMeta(fingerprint="a" * 64, bundle="m")
    target = Target(JudgedQueries("made", "test", (Query("q", "?"),), {}), "i", meta, {})
    report = await vector_report(TwoTerms(), target, VectorCounts())  # type: ignore[arg-type]  # the part that is asked
    assert (report.mean_document_terms, report.flops, report.documents_sampled) == (None, None, 0)
