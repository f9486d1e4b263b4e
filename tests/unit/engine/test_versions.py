"""What answers `GET /`, as clusters really word it."""

from __future__ import annotations

import pytest

from sidecar.engine import ClusterInfo, Distribution
from sidecar.errors import UnsupportedEngine

OPENSEARCH = {
    "name": "n1",
    "cluster_name": "prod",
    "version": {"distribution": "opensearch", "number": "3.8.0", "lucene_version": "10.5.0"},
    "tagline": "The OpenSearch Project: https://opensearch.org/",
}
ELASTICSEARCH = {
    "name": "n1",
    "cluster_name": "prod",
    "version": {"number": "8.19.2", "build_flavor": "default", "lucene_version": "9.12.2"},
    "tagline": "You Know, for Search",
}


def test_opensearch() -> None:
    assert ClusterInfo.parse(OPENSEARCH) == ClusterInfo(Distribution.OPENSEARCH, "3.8.0", "prod", (3, 8))


def test_elasticsearch() -> None:
    assert ClusterInfo.parse(ELASTICSEARCH) == ClusterInfo(Distribution.ELASTICSEARCH, "8.19.2", "prod", (8, 19))


@pytest.mark.parametrize(("lucene", "release"), [("8.10.1", (1, 0)), ("9.7.0", (2, 0)), ("10.1.0", (3, 0))])
def test_opensearch_that_claims_to_be_elasticsearch(lucene: str, release: tuple[int, int]) -> None:
    disguised = {**OPENSEARCH, "version": {"number": "7.10.2", "lucene_version": lucene}}
    found = ClusterInfo.parse(disguised)
    assert found.distribution is Distribution.OPENSEARCH
    assert found.release == release


@pytest.mark.parametrize(("number", "release"), [("2.19.0-SNAPSHOT", (2, 19)), ("3.0.0-beta1", (3, 0)), ("4", (4, 0))])
def test_versions_as_they_come(number: str, release: tuple[int, int]) -> None:
    assert ClusterInfo.parse({**OPENSEARCH, "version": {"number": number}}).release == release


@pytest.mark.parametrize("answer", [{}, {"version": "7"}, {"version": {}}, {"version": {"number": 7}}, {"hello": 1}])
def test_what_is_no_cluster_is_refused(answer: dict[str, object]) -> None:
    with pytest.raises(UnsupportedEngine):
        ClusterInfo.parse(answer)


def test_a_version_that_is_no_number_is_refused() -> None:
    with pytest.raises(UnsupportedEngine, match="can't be read"):
        ClusterInfo.parse({"version": {"number": "next"}})
