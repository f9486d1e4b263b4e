"""Clients and searchers that nobody closes, and processes that are forked under them: scripts of their own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from textwrap import dedent

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.errors import InvalidInput
from sidecar.server.process import SidecarProcess
from tests.support.nodes import Node

pytestmark = pytest.mark.integration

PATIENCE_SECONDS = 240.0
"""A script that waits for a frozen thread waits for ever."""

FORKING = """
    import os, sys
    from sidecar.client import AsyncSidecarClient, SidecarClient
    from sidecar.errors import SidecarError

    def in_child(work):
        sys.stdout.flush()
        child = os.fork()
        if not child:
            try:
                print("child:", work())
            except SidecarError as error:
                print("child:", type(error).__name__, error)
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
"""


def printed(script: str, *arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, *arguments],
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Unclosed" not in done.stderr or "os.fork" in script, done.stderr
    return done.stdout.splitlines()


def test_a_script_that_closes_nothing_comes_to_its_end(sidecar_process: SidecarProcess) -> None:
    script = """
        import sys
        from sidecar.client import SidecarClient

        kept = SidecarClient(sys.argv[1])
        print(len(kept.encode(["what the document says"]).encodings))
        forgotten = SidecarClient(sys.argv[1])
        print(forgotten.health())
        del forgotten
    """
    assert printed(dedent(script), sidecar_process.target) == ["1", "True"]


def test_so_does_one_that_leaves_a_stream_open(sidecar_process: SidecarProcess) -> None:
    script = """
        import sys
        from sidecar.client import SidecarClient

        kept = SidecarClient(sys.argv[1])
        outcomes = kept.encode_stream([["text"]] * 100)
        print(next(outcomes).unwrap().model != "")
    """
    assert printed(dedent(script), sidecar_process.target) == ["True"]


def test_so_does_one_that_leaves_a_searcher_and_a_writer_open(
    opensearch: Node, sidecar_process: SidecarProcess
) -> None:
    script = """
        import sys
        from sidecar.cluster import SparseWriter
        from sidecar.search import Searcher

        searcher = Searcher(sys.argv[1], sys.argv[2], "hybrid", index="none-such")
        writer = SparseWriter(sys.argv[1], sys.argv[2], "none-such")
        print("made")
    """
    assert printed(dedent(script), opensearch.url, sidecar_process.target) == ["made"]


def test_a_client_that_was_made_before_a_fork_says_so(sidecar_process: SidecarProcess) -> None:
    script = """
        client = SidecarClient(sys.argv[1])
        if sys.argv[2] == "used":
            client.health()

        def work():
            try:
                return client.health()
            finally:
                client.close()

        in_child(work)
        print("parent:", client.health())
    """
    for used in ("used", "unused"):
        child, parent = printed(dedent(FORKING) + dedent(script), sidecar_process.target, used)
        assert child.startswith("child: InvalidInput"), child
        assert "before this process was forked" in child
        assert "post_fork" in child
        assert parent == "parent: True"


def test_a_client_that_is_made_after_the_fork_works_as_long_as_no_other_was_in_use(
    sidecar_process: SidecarProcess,
) -> None:
    script = """
        def work():
            with SidecarClient(sys.argv[1]) as client:
                return client.health()

        before = SidecarClient(sys.argv[1])
        in_child(work)
        print("parent:", before.health())
        in_child(work)
        before.close()
        in_child(work)
    """
    fresh, parent, cut_off, closed = printed(dedent(FORKING) + dedent(script), sidecar_process.target)
    assert fresh == closed == "child: True"
    assert parent == "parent: True"
    assert cut_off.startswith("child: InvalidInput")
    assert "forked from one that had a client open" in cut_off


def test_an_asynchronous_client_that_was_used_before_a_fork_says_so(sidecar_process: SidecarProcess) -> None:
    script = """
        import asyncio

        client = AsyncSidecarClient(sys.argv[1])
        loop = asyncio.new_event_loop()
        loop.run_until_complete(client.health())
        in_child(lambda: asyncio.run(client.health()))
        print("parent:", loop.run_until_complete(client.health()))
        loop.run_until_complete(client.close())
    """
    child, parent = printed(dedent(FORKING) + dedent(script), sidecar_process.target)
    assert child.startswith("child: InvalidInput")
    assert "used before this process was forked" in child
    assert parent == "parent: True"


def test_an_asynchronous_client_belongs_to_the_loop_of_its_first_call(sidecar_process: SidecarProcess) -> None:
    client = AsyncSidecarClient(sidecar_process.target)
    first = asyncio.new_event_loop()
    try:
        assert first.run_until_complete(client.health())
        with pytest.raises(InvalidInput, match="another event loop"):
            asyncio.run(client.health())
        assert first.run_until_complete(client.health())
        first.run_until_complete(client.close())
    finally:
        first.close()


def test_a_searcher_that_is_closed_under_a_search_leaves_no_connection_open(
    opensearch: Node, sidecar_process: SidecarProcess
) -> None:
    script = """
        import sys, threading
        from sidecar.errors import SidecarError
        from sidecar.search import Searcher

        searcher = Searcher(sys.argv[1], sys.argv[2], "hybrid", index="none-such")
        begun, ended = threading.Barrier(5), []

        def search():
            begun.wait()
            try:
                while True:
                    try:
                        searcher.search("what")
                    except SidecarError as error:
                        if "closed" in str(error):
                            raise
            except SidecarError:
                ended.append(True)

        threads = [threading.Thread(target=search) for _ in range(4)]
        for thread in threads:
            thread.start()
        begun.wait()
        threading.Event().wait(0.2)
        searcher.close()
        for thread in threads:
            thread.join()
        print(len(ended))
    """
    assert printed(dedent(script), opensearch.url, sidecar_process.target) == ["4"]
