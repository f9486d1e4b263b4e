"""Real OpenSearch nodes, started once per test session.

The local node needs nothing but packages. With SIDECAR_TEST_DOCKER=1 and a Docker engine that answers, the official
image runs instead (SIDECAR_TEST_IMAGE names another one). SIDECAR_TEST_ENGINE=URL takes a single-node cluster that is
already running, which saves the start while one works on the tests.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from sidecar.engine import BulkPolicy, Engine
from sidecar.engine.local import LocalNode
from sidecar.engine.local.install import Lock

ELASTICSEARCH_LOCK = Path(__file__).with_name("elasticsearch.lock.json")

IMAGE = "opensearchproject/opensearch:3"


@dataclass(frozen=True)
class Node:
    """A running cluster."""

    url: str


@contextmanager
def docker_node() -> Iterator[Node]:
    """One node of the official image."""
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import HttpWaitStrategy

    container = (
        DockerContainer(os.environ.get("SIDECAR_TEST_IMAGE", IMAGE))
        .with_env("discovery.type", "single-node")
        .with_env("DISABLE_SECURITY_PLUGIN", "true")
        .with_env("OPENSEARCH_JAVA_OPTS", "-Xms512m -Xmx1g")
        .with_exposed_ports(9200)
        .waiting_for(HttpWaitStrategy(9200, "/_cluster/health").for_status_code(200))
    )
    with container:
        yield Node(f"http://{container.get_container_host_ip()}:{container.get_exposed_port(9200)}")


def docker_answers() -> bool:
    if os.environ.get("SIDECAR_TEST_DOCKER") != "1":
        return False
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env()
        client.ping()
        client.close()
    except DockerException:
        return False
    return True


def ignore_disk(url: str) -> None:
    """Let the cluster take no notice of how full the machine's disk is: tests are not about that."""
    settings = {"persistent": {"cluster.routing.allocation.disk.threshold_enabled": False}}
    httpx.put(f"{url}/_cluster/settings", json=settings, timeout=60.0).raise_for_status()


@contextmanager
def running_node() -> Iterator[Node]:
    """One node: the one that runs already, an image, or a local one."""
    running = os.environ.get("SIDECAR_TEST_ENGINE")
    if running:
        yield Node(running)
    elif docker_answers():
        with docker_node() as node:
            yield node
    else:
        with LocalNode(port=0) as local:
            ignore_disk(local.url)
            yield Node(local.url)


@pytest.fixture(scope="session")
def opensearch() -> Iterator[Node]:
    """One node on a free port, shared by the whole session: use `index_name` for what you create."""
    with running_node() as node:
        yield node


@pytest.fixture(scope="session")
def elasticsearch() -> Iterator[Node]:
    """One node of Elasticsearch 7.10.2, the newest that can be had as jars; it has no `linear` in rank_feature."""
    lock = Lock.model_validate_json(ELASTICSEARCH_LOCK.read_bytes())
    with LocalNode(port=0, heap="512m", lock=lock) as local:
        ignore_disk(local.url)
        yield Node(local.url)


@pytest.fixture
async def engine(opensearch: Node) -> AsyncIterator[Engine]:
    """An engine connected to `opensearch`, with retries quick enough for tests."""
    connected = await Engine.connect(
        opensearch.url, bulk=BulkPolicy(first_wait=0.02, longest_wait=0.2, held_up_seconds=0.0)
    )
    yield connected
    await connected.close()


@pytest.fixture
async def index_name(engine: Engine) -> AsyncIterator[str]:
    """A name that no other test uses; an index of that name is deleted afterwards."""
    name = f"test-{uuid.uuid4().hex}"
    yield name
    await engine.delete_index(name, missing_ok=True)
