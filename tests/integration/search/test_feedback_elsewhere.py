"""Feedback where vectors lie otherwise: on Elasticsearch, and in an index whose model changes."""

from __future__ import annotations

import uuid

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster.migrate import rollback, swap
from sidecar.engine import Engine
from sidecar.search import AsyncSearcher, SearchResult
from tests.integration.search.conftest import fill
from tests.support.feedback import QUERY, with_feedback
from tests.support.migration import documents, prepare_old, rolled_out
from tests.support.nodes import Node

pytestmark = pytest.mark.integration


def terms(result: SearchResult) -> set[str]:
    return {share.term for hit in result.hits for share in hit.why}


async def test_elasticsearch_from_before_linear(elasticsearch: Node, search_sidecar) -> None:
    """Scores come out of a saturation there, and the shares of documents out of those scores."""
    index = f"fed-{uuid.uuid4().hex[:8]}"
    async with await Engine.connect(elasticsearch.url) as engine, AsyncSidecarClient(search_sidecar.target) as client:
        try:
            await fill(elasticsearch.url, search_sidecar.target, index)
            assert (await engine.index_meta(index)).dialect == "rank_features_saturation"
            plain = await AsyncSearcher(engine, client, "sparse", index=index).search(QUERY, explain=True)
            searcher = AsyncSearcher(engine, client, with_feedback("sparse"), index=index)
            fed = await searcher.search(QUERY, explain=True, filter={"term": {"kind": "odd"}})
            assert (fed.degraded, fed.partial) == (None, False)
            assert fed.timings.feedback_ms > plain.timings.feedback_ms == 0.0
            assert {hit.source["kind"] for hit in fed.hits} == {"odd"}
            assert terms(fed) - terms(plain), "terms that the query never had"
            for hit in fed.hits:
                assert sum(share.value for share in hit.why) == pytest.approx(hit.sparse_score, rel=0.01)
        finally:
            await engine.delete_index(index, missing_ok=True)


async def test_a_swap_changes_what_is_fed_back(engine: Engine, both: AsyncSidecarClient, index_name: str) -> None:
    """Vectors of the model that is searched, from its own field, before a swap, after it and after a roll-back."""
    await prepare_old(engine, both, index_name, documents(40))
    await rolled_out(engine, both, index_name)

    async def fed() -> tuple[SearchResult, set[str]]:
        """A searcher that knows nothing yet: one that runs takes a swap in later."""
        found = await AsyncSearcher(engine, both, with_feedback("sparse"), index=index_name).search(
            "lion river", explain=True
        )
        assert found.degraded is None
        assert found.timings.feedback_ms > 0.0
        assert all(set(hit.source) == {"text", "number"} for hit in found.hits)
        for hit in found.hits:
            assert sum(share.value for share in hit.why) == pytest.approx(hit.sparse_score, rel=0.01)
        return found, terms(found)

    before, old = await fed()
    await swap(engine, index_name)
    _, new = await fed()
    await rollback(engine, index_name)
    again, _ = await fed()
    assert "river" in old & new
    assert len(old) > 2
    assert new - old, "the new model's terms for the same texts"
    assert [(hit.id, hit.sparse_score) for hit in again.hits] == [(hit.id, hit.sparse_score) for hit in before.hits]
