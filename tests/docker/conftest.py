"""Clusters that only Docker brings: OpenSearch with its plugins, Elasticsearch with its own sparse_vector.

These tests run where a Docker engine answers, and are skipped with the reason elsewhere. SIDECAR_TEST_NEURAL_IMAGE and
SIDECAR_TEST_ELASTICSEARCH_IMAGE name other images.
"""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import cache

import pytest

from sidecar.engine import BulkPolicy, Engine

NEURAL_IMAGE = "opensearchproject/opensearch:3.4.0"
ELASTICSEARCH_IMAGE = "docker.elastic.co/elasticsearch/elasticsearch:8.19.0"


@cache
def why_no_docker() -> str | None:
    """Say why containers can't run here; None: they can."""
    import docker
    from docker.errors import DockerException

    reason = None
    with warnings.catch_warnings():
        # The client leaves its socket open where nobody answers.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            client = docker.from_env()
            client.ping()
            client.close()
        except DockerException as error:
            reason = f"no Docker engine answers here ({type(error).__name__})"
        gc.collect()
    return reason


@contextmanager
def running(image: str, environment: dict[str, str]) -> Iterator[str]:
    """Run one node of an image and give its URL; skips the test where Docker can't."""
    reason = why_no_docker()
    if reason is not None:
        pytest.skip(reason)
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import HttpWaitStrategy

    container = DockerContainer(image).with_env("discovery.type", "single-node").with_exposed_ports(9200)
    for name, value in environment.items():
        container = container.with_env(name, value)
    with container.waiting_for(HttpWaitStrategy(9200, "/_cluster/health").for_status_code(200)):
        yield f"http://{container.get_container_host_ip()}:{container.get_exposed_port(9200)}"


@pytest.fixture(scope="session")
def neural_url() -> Iterator[str]:
    """OpenSearch with neural-search and ml-commons, as its distribution comes."""
    image = os.environ.get("SIDECAR_TEST_NEURAL_IMAGE", NEURAL_IMAGE)
    with running(image, {"DISABLE_SECURITY_PLUGIN": "true", "OPENSEARCH_JAVA_OPTS": "-Xms1g -Xmx2g"}) as url:
        yield url


@pytest.fixture(scope="session")
def elasticsearch_url() -> Iterator[str]:
    """Elasticsearch with the sparse_vector query."""
    image = os.environ.get("SIDECAR_TEST_ELASTICSEARCH_IMAGE", ELASTICSEARCH_IMAGE)
    with running(image, {"xpack.security.enabled": "false", "ES_JAVA_OPTS": "-Xms1g -Xmx1g"}) as url:
        yield url


@pytest.fixture
async def neural(neural_url: str) -> AsyncIterator[Engine]:
    """An engine connected to `neural_url`."""
    async with await Engine.connect(neural_url, bulk=BulkPolicy(first_wait=0.02, longest_wait=0.2)) as engine:
        yield engine


@pytest.fixture
async def elastic(elasticsearch_url: str) -> AsyncIterator[Engine]:
    """An engine connected to `elasticsearch_url`."""
    async with await Engine.connect(elasticsearch_url, bulk=BulkPolicy(first_wait=0.02, longest_wait=0.2)) as engine:
        yield engine
