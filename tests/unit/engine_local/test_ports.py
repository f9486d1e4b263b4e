"""Choosing ports for a local node."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sidecar.engine.local.node import LocalNode
from sidecar.engine.local.ports import FIRST_PORT, LAST_PORT, are_free, choose
from sidecar.errors import LocalNodeError


@contextmanager
def taken(port: int) -> Iterator[None]:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        yield


def test_zero_takes_ports_that_are_free() -> None:
    first = choose(0, 3)
    assert FIRST_PORT <= first <= LAST_PORT - 2
    with taken(first + 1):
        assert not are_free(first, 3)
        other = choose(0, 3)
        assert first + 1 not in range(other, other + 3)


def test_a_port_that_is_taken_is_told() -> None:
    port = choose(0, 1)
    with taken(port), pytest.raises(LocalNodeError, match=f"Port {port} is taken"):
        choose(port, 1)


@pytest.mark.parametrize(("port", "nodes"), [(9199, 1), (9300, 1), (9298, 3), (80, 1), (-1, 1)])
def test_ports_the_runner_would_not_look_at(port: int, nodes: int) -> None:
    with pytest.raises(LocalNodeError, match="between 9200 and 9299"):
        choose(port, nodes)


def test_no_nodes_are_no_cluster() -> None:
    with pytest.raises(LocalNodeError):
        choose(0, 0)


@pytest.mark.parametrize("heap", ["", "1", "1t", "-1g", "0g", "1g; rm", "1.5g"])
def test_a_heap_that_java_would_not_understand(heap: str) -> None:
    with pytest.raises(LocalNodeError, match="heap"):
        LocalNode(heap=heap)


def test_a_node_that_was_not_started_has_no_address() -> None:
    node = LocalNode(port=0)
    for read in (lambda: node.url, lambda: node.pid, lambda: node.log_file, node.require_running):
        with pytest.raises(LocalNodeError):
            read()
    node.stop()
