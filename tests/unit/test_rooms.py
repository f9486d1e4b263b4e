"""docs/images/rooms.svg is what scripts/rooms.py draws of today's contract, and every package is a room of it."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from scripts.rooms import EXTRAS, LABELS, PICTURE, WHAT, layers, picture

PACKAGE = Path(__file__).parents[2] / "sidecar"
NOT_ROOMS = {"v1", "__main__", "__init__"}
"""Generated stubs, and the entry point."""


def test_the_picture_is_up_to_date() -> None:
    assert PICTURE.read_text(encoding="utf-8") == picture(layers()), "run python -m scripts.rooms"


def test_every_package_and_module_is_a_room_of_one_layer() -> None:
    there = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    rooms = [room for layer in layers() for room in layer]
    assert sorted(rooms) == sorted(there - NOT_ROOMS)
    assert set(WHAT) == set(rooms)
    assert set(rooms) >= EXTRAS
    assert len(LABELS) == len(layers())


def test_the_picture_is_an_image_that_says_what_it_shows() -> None:
    root = ElementTree.fromstring(picture(layers()))
    assert root.attrib["role"] == "img"
    assert "downwards only" in root.attrib["aria-label"]
