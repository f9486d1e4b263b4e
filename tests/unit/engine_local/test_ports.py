"""Choosing ports for a local node."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sidecar.engine.local.node import LocalNode
from sidecar.engine.local.ports import FIRST_PORT, LAST_PORT, choose
from sidecar.errors import LocalNodeError


@contextmanager
def taken(port: int) -> Iterator[None]:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        yield


@contextmanager
def chosen(wanted: int, nodes: int) -> Iterator[int]:
    reserved = choose(wanted, nodes)
    yield reserved.first
    reserved.release()
    reserved.release()


def test_zero_takes_ports_that_are_free() -> None:
    with chosen(0, 3) as first:
        assert FIRST_PORT <= first <= LAST_PORT - 2
    with taken(first + 1), chosen(0, 3) as other:
        assert first + 1 not in range(other, other + 3)


def test_a_port_that_is_taken_is_told() -> None:
    with chosen(0, 1) as port:
        pass
    with taken(port), pytest.raises(LocalNodeError, match=f"Port {port} is taken"):
        choose(port, 1)


def test_two_that_start_at_once_choose_different_ports() -> None:
    """Neither has bound its port yet; the second may be another process."""
    with chosen(0, 2) as first:
        with pytest.raises(LocalNodeError, match="taken"):
            choose(first + 1, 1)
        script = "from sidecar.engine.local.ports import choose\nprint(choose(0, 2).first)"
        answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
        assert not {first, first + 1} & {int(answer.stdout), int(answer.stdout) + 1}
    with chosen(first, 2):
        pass


def test_a_run_that_is_partly_taken_leaves_nothing_reserved() -> None:
    with chosen(0, 3) as first:
        pass
    with taken(first + 2):
        with pytest.raises(LocalNodeError):
            choose(first, 3)
        with chosen(first, 2):
            pass


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
