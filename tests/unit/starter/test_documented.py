"""What is said of the starters: README's table is that of their cards, and the cards are what their manifests name."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.bundle import STARTER_RERANKER, Bundle

REPOSITORY = Path(__file__).parents[3]
CARD = REPOSITORY / "models" / STARTER_RERANKER / "README.md"


def scores(page: Path) -> dict[str, list[str]]:
    """Return the row of each profile in the page's first table that begins with `lexical`."""
    rows: dict[str, list[str]] = {}
    for line in page.read_text(encoding="utf-8").splitlines():
        name, *cells = [cell.strip(" *") for cell in line.strip("|").split("|")]
        if name == "lexical" or rows:
            if not line.startswith("|"):
                break
            rows[name] = cells
    return rows


def test_the_readme_shows_what_the_card_holds() -> None:
    assert scores(REPOSITORY / "README.md") == scores(CARD)
    assert list(scores(CARD)) == ["lexical", "sparse", "hybrid", "hybrid+rerank"]


def test_the_last_column_is_the_mean_of_the_others() -> None:
    for *cells, mean in scores(CARD).values():
        assert float(mean) == pytest.approx(sum(map(float, cells)) / len(cells), abs=0.001)


@pytest.mark.parametrize(
    "folder", sorted(path.parent for path in REPOSITORY.glob("models/*/manifest.json")), ids=lambda folder: folder.name
)
def test_a_card_that_was_edited_is_named_by_its_manifest(folder: Path) -> None:
    """Else no sidecar starts: `scripts/train-starter cards` writes both."""
    Bundle.open(folder)
