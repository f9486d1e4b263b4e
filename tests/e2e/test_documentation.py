"""Every code block of README.md and docs/ does what it says, on a real cluster and a real sidecar."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.bundle import STARTER_NEURAL, STARTER_RERANKER, STARTER_SPARSE
from sidecar.server.process import SidecarProcess
from tests.support.documentation import REPOSITORY, blocks, pages, run_page
from tests.support.nodes import Node

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def linked_pages() -> list[Path]:
    """Every page whose links are looked at: those that are run, the model cards, and what lies beside the code."""
    beside = [REPOSITORY / "CHANGELOG.md", REPOSITORY / "mappings" / "README.md"]
    return [
        *pages(),
        *beside,
        *sorted(REPOSITORY.glob("models/*/README.md")),
        *sorted(REPOSITORY.glob("deploy/**/*.md")),
    ]


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", linked_pages(), ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_a_page_has_a_heading_and_no_dead_link_or_anchor(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# ")
    for target, anchor in re.findall(r"\]\((?!https?://|mailto:)([^)#]*)(?:#([^)]*))?\)", text):
        there = page.parent / target if target else page
        assert there.exists(), f"links to {target}"
        assert not anchor or anchor in headings(there), f"links to {target}#{anchor}"


def _runnable(page: Path) -> bool:
    return any(b.skipped is None and b.language in {"python", "bash"} for b in blocks(page))


@pytest.fixture(scope="module")
def starter_sidecar(opensearch: Node) -> Iterator[SidecarProcess]:
    """What the pages talk to: the models that are served by default, and the one that docs/migrate.md rolls out."""
    searching = {"search_engine": opensearch.url, "search_indices": "*", "search_bodies": True}
    with SidecarProcess([STARTER_SPARSE, STARTER_RERANKER, STARTER_NEURAL], settings=searching) as sidecar:
        yield sidecar


@pytest.mark.parametrize(
    "page", [page for page in pages() if _runnable(page)], ids=lambda page: str(page.relative_to(REPOSITORY))
)
def test_the_blocks_of_a_page_run(
    page: Path, opensearch: Node, starter_sidecar: SidecarProcess, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        other = free.getsockname()[1]
    addresses = {
        "127.0.0.1:50051": starter_sidecar.target,
        "http://127.0.0.1:8080": starter_sidecar.http_url,
        "http://127.0.0.1:9090": starter_sidecar.admin_url,
        "http://127.0.0.1:9200": opensearch.url,
        "127.0.0.1:50052": f"127.0.0.1:{other}",
    }
    assert run_page(page, addresses, tmp_path) > 0
