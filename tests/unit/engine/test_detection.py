"""Which dialect a cluster gets, and what is said about it."""

from __future__ import annotations

import pytest

from sidecar.engine import DIALECTS, ClusterInfo, Distribution, choose_dialect
from sidecar.engine.versions import ML_COMMONS, NEURAL_SEARCH, parse_plugins
from sidecar.errors import UnsupportedEngine

OPENSEARCH, ELASTICSEARCH = Distribution.OPENSEARCH, Distribution.ELASTICSEARCH
NEURAL = {NEURAL_SEARCH: "3.4.0.0"}


def cluster(distribution: Distribution, major: int, minor: int, plugins: dict[str, str] | None = None) -> ClusterInfo:
    return ClusterInfo(distribution, f"{major}.{minor}.0", "c", (major, minor), plugins)


@pytest.mark.parametrize(
    ("found", "dialect"),
    [
        (cluster(OPENSEARCH, 3, 8, {}), "rank_features"),
        (cluster(OPENSEARCH, 3, 8, None), "rank_features"),
        (cluster(OPENSEARCH, 3, 8, NEURAL), "neural_sparse"),
        (cluster(OPENSEARCH, 2, 14, NEURAL), "neural_sparse"),
        (cluster(OPENSEARCH, 2, 13, NEURAL), "rank_features"),
        (cluster(OPENSEARCH, 1, 3, {}), "rank_features_saturation"),
        (cluster(ELASTICSEARCH, 7, 10, {}), "rank_features_saturation"),
        (cluster(ELASTICSEARCH, 7, 12, {}), "rank_features"),
        (cluster(ELASTICSEARCH, 8, 14, {}), "rank_features"),
        (cluster(ELASTICSEARCH, 8, 15, {}), "elasticsearch"),
        (cluster(ELASTICSEARCH, 9, 2, None), "elasticsearch"),
    ],
    ids=str,
)
def test_what_is_preferred(found: ClusterInfo, dialect: str) -> None:
    choice = choose_dialect(found)
    assert choice.dialect.name == dialect
    assert choice.reason.startswith(f"{dialect}: {found.title} {found.version}: ")


def test_what_was_passed_over_is_told_with_its_reason() -> None:
    choice = choose_dialect(cluster(OPENSEARCH, 3, 8, {}))
    assert choice.passed_over == (
        "not elasticsearch: Elasticsearch's sparse_vector query is not in OpenSearch.",
        "not neural_sparse: The plugin opensearch-neural-search is not on every node of the cluster.",
    )
    unknown = choose_dialect(cluster(OPENSEARCH, 3, 8, None))
    assert "is not known" in unknown.passed_over[1]


def test_a_wish_overrides_the_preference() -> None:
    for wanted in ("rank_features", "rank_features_saturation", "seismic", "neural_sparse"):
        choice = choose_dialect(cluster(OPENSEARCH, 3, 4, NEURAL), wanted)
        assert choice.dialect is DIALECTS[wanted]
        assert "asked for" in choice.reason


@pytest.mark.parametrize(
    ("found", "wanted", "reason"),
    [
        (cluster(OPENSEARCH, 3, 4, {}), "neural_sparse", "not on every node"),
        (cluster(OPENSEARCH, 3, 4, {}), "seismic", "not on every node"),
        (cluster(OPENSEARCH, 3, 2, NEURAL), "seismic", "3.3"),
        (cluster(OPENSEARCH, 3, 4, NEURAL), "elasticsearch", "not in OpenSearch"),
        (cluster(ELASTICSEARCH, 8, 14, {}), "elasticsearch", "8.15"),
        (cluster(ELASTICSEARCH, 8, 15, {}), "neural_sparse", "OpenSearch's"),
        (cluster(ELASTICSEARCH, 8, 15, {}), "seismic", "OpenSearch's"),
        (cluster(ELASTICSEARCH, 7, 10, {}), "rank_features", "7.12"),
        (cluster(OPENSEARCH, 1, 3, {}), "rank_features", "2.0"),
        (cluster(OPENSEARCH, 3, 4, NEURAL), "vespa", "known: elasticsearch, neural_sparse"),
    ],
    ids=str,
)
def test_a_wish_does_not_override_what_a_dialect_needs(found: ClusterInfo, wanted: str, reason: str) -> None:
    with pytest.raises(UnsupportedEngine, match=reason):
        choose_dialect(found, wanted)


def test_a_cluster_that_can_do_nothing() -> None:
    with pytest.raises(UnsupportedEngine, match="too old"):
        choose_dialect(cluster(ELASTICSEARCH, 6, 8, {}))


def test_a_plugin_counts_where_every_node_has_it() -> None:
    neural = {"name": NEURAL_SEARCH, "version": "3.4.0.0"}
    learning = {"name": ML_COMMONS, "version": "3.4.0.0"}
    module = {"name": "mapper-extras", "version": "3.4.0"}
    nodes = {"a": {"plugins": [neural, learning], "modules": [module]}, "b": {"plugins": [neural], "modules": [module]}}
    assert parse_plugins({"nodes": nodes}) == {NEURAL_SEARCH: "3.4.0.0", "mapper-extras": "3.4.0"}
    assert parse_plugins({}) == {}
    assert parse_plugins({"nodes": {"a": {}}}) == {}
