"""The card of a checkpoint: licence and base model from its front matter."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.export.checkpoint.card import read_card


@pytest.mark.parametrize(
    ("text", "license_name", "base"),
    [
        ("---\nlicense: mit\nbase_model: a/b\n---\nx", "mit", "a/b"),
        ("---\nlicense: other\nlicense_name: cc-by-nc-sa-4.0\n---\nx", "cc-by-nc-sa-4.0", None),
        ("---\nlicense: [apache-2.0]\n---\n", "apache-2.0", None),
        ("---\n: : :\n---\n", None, None),
        ("---\nnever closed\n", None, None),
        ("# plain", None, None),
        ("", None, None),
    ],
)
def test_front_matter(tmp_path: Path, text: str, license_name: str | None, base: str | None) -> None:
    (tmp_path / "README.md").write_text(text)
    card = read_card(tmp_path)
    assert (card.text, card.license, card.base_model) == (text, license_name, base)
