"""Every dialect that a local node can do, on that node: scores, presence, explanations."""

from __future__ import annotations

import pytest

from sidecar.engine import BulkPolicy, Engine, choose_dialect
from sidecar.errors import UnsupportedEngine
from tests.support.dialects import check_dialect
from tests.support.nodes import Node

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("dialect", ["rank_features", "rank_features_saturation"])
async def test_opensearch(engine: Engine, dialect: str) -> None:
    await check_dialect(engine, dialect)


async def test_elasticsearch_from_before_linear(elasticsearch: Node) -> None:
    async with await Engine.connect(elasticsearch.url, bulk=BulkPolicy(first_wait=0.02)) as engine:
        choice = choose_dialect(await engine.cluster())
        assert choice.dialect.name == "rank_features_saturation"
        await check_dialect(engine, choice.dialect.name)


async def test_what_this_opensearch_gets_and_why(engine: Engine) -> None:
    cluster = await engine.cluster()
    assert cluster.plugins
    choice = choose_dialect(cluster)
    assert (
        choice.reason
        == f"rank_features: OpenSearch {cluster.version}: rank_features with linear scoring needs no plugin."
    )
    assert any("neural-search" in reason for reason in choice.passed_over)
    with pytest.raises(UnsupportedEngine, match="neural-search"):
        choose_dialect(cluster, "seismic")
