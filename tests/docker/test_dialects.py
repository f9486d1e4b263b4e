"""The dialects that need a plugin or a newer Elasticsearch, on the images that have them."""

from __future__ import annotations

import pytest

from sidecar.engine import Engine, choose_dialect
from tests.support.dialects import check_dialect


@pytest.mark.parametrize("dialect", ["rank_features", "neural_sparse", "seismic"])
async def test_opensearch_with_its_plugins(neural: Engine, dialect: str) -> None:
    await check_dialect(neural, dialect)


async def test_neural_search_is_preferred_where_it_is(neural: Engine) -> None:
    assert choose_dialect(await neural.cluster()).dialect.name == "neural_sparse"


@pytest.mark.parametrize("dialect", ["elasticsearch", "rank_features"])
async def test_elasticsearch(elastic: Engine, dialect: str) -> None:
    await check_dialect(elastic, dialect)


async def test_sparse_vector_is_preferred_where_it_is(elastic: Engine) -> None:
    assert choose_dialect(await elastic.cluster()).dialect.name == "elasticsearch"
