"""The second stage without a cluster: the lists, and the order that comes out."""

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from scripts.starter.reranked import CANDIDATES, DEPTH, Head, heads_of, ndcg_of
from scripts.starter.variants import ANALYSED, SHIPPED, Model, Variants
from sidecar.domain import Document, Query
from sidecar.evaluation.collection import Collection
from tests.unit.starter.conftest import Miniature


@pytest.fixture
def variants(miniature: Miniature) -> Variants:
    texts = [row.text for row in miniature.corpus.documents]
    asked = [row.text for row in miniature.corpus.queries[:8]]
    columns = len(miniature.folding.columns)
    model = Model(
        miniature.tokenizer, miniature.folding, miniature.idf, miniature.idf, 1.0, miniature.texts.average_length
    )
    documents, queries = (csr_matrix((size, columns), dtype=np.float32) for size in (len(texts), len(asked)))
    return Variants(model, texts, asked, documents, queries)


def test_a_head_holds_the_best_of_both_retrievers_in_order(variants: Variants, miniature: Miniature) -> None:
    queries = [row.text for row in miniature.corpus.queries[:8]]
    scores = variants.scores()
    lexical, sparse = scores[ANALYSED](), scores[SHIPPED]()
    for row, head in enumerate(heads_of(variants, queries)):
        assert head.query == queries[row]
        assert len(set(head.places)) == len(head.places) == len(head.scores) <= DEPTH
        assert list(head.scores) == sorted(head.scores, reverse=True)
        assert all(lexical[row][place] > 0 or sparse[row][place] > 0 for place in head.places)
        found = np.count_nonzero((lexical[row] > 0) | (sparse[row] > 0))
        assert len(head.places) == min(DEPTH, found)
        assert DEPTH <= CANDIDATES


def test_the_first_of_both_retrievers_is_the_first_of_the_head(variants: Variants, miniature: Miniature) -> None:
    queries = [row.text for row in miniature.corpus.queries[:8]]
    scores = variants.scores()
    lexical, sparse = scores[ANALYSED](), scores[SHIPPED]()
    agreed = 0
    for row, head in enumerate(heads_of(variants, queries)):
        if lexical[row].argmax() == sparse[row].argmax() and head.places:
            agreed += 1
            assert head.places[0] == lexical[row].argmax()
            assert head.scores[0] == pytest.approx(1.0)
    assert agreed


def collection(judgements: dict[str, dict[str, int]]) -> Collection:
    documents = (
        Document("a", {"title": "", "text": "the wing stalls at a high angle of attack"}),
        Document("empty", {"title": "", "text": ""}),
        Document("b", {"title": "", "text": "chronic infection of the airways"}),
    )
    return Collection("made", "test", (Query("q", "why does a wing stall"),), judgements, documents)


def test_places_count_documents_with_text_and_the_order_is_judged(tiny_cross_encoder_bundle: Path) -> None:
    """One of two documents comes first, so one of these two judgements is fulfilled and the other half."""
    head = Head("why does a wing stall", (0, 1), (1.0, 0.0))
    both = [ndcg_of(tiny_cross_encoder_bundle, collection({"q": {name: 1}}), [head]) for name in ("a", "b")]
    assert sorted(both) == pytest.approx([1 / np.log2(3), 1.0], abs=1e-4)


def test_a_query_that_finds_nothing_counts_as_nothing(tiny_cross_encoder_bundle: Path) -> None:
    assert ndcg_of(tiny_cross_encoder_bundle, collection({"q": {"a": 1}}), [Head("nothing", (), ())]) == 0.0
