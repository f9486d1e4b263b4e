"""The table of query weights that a checkpoint may have."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from sidecar.bundle import QueryMode
from sidecar.errors import UnsupportedCheckpoint
from sidecar.export.checkpoint import read_checkpoint
from tests.support.vocabulary import TINY_VOCABULARY


def test_bare_opensearch_repositories_are_inference_free(checkpoint: Path) -> None:
    (checkpoint / "idf.json").write_bytes(orjson.dumps({"weather": 5.1, "new": 2, "[CLS]": 1.0, "rain": -0.5}))
    found = read_checkpoint(checkpoint)
    assert found.query_mode is QueryMode.IDF
    assert found.query_weights == {"new": 2.0, "weather": 5.1, "rain": 0.0}
    assert list(found.query_weights) == sorted(found.query_weights, key=TINY_VOCABULARY.index)


def test_the_analyzers_text_form_is_read(checkpoint: Path) -> None:
    (checkpoint / "query_token_weights.txt").write_text("weather\t5.1\nnew\t2\n\n")
    assert read_checkpoint(checkpoint).query_weights == {"new": 2.0, "weather": 5.1}
    (checkpoint / "query_token_weights.txt").write_text("weather 5.1\n")
    with pytest.raises(UnsupportedCheckpoint, match="line 1"):
        read_checkpoint(checkpoint)


@pytest.mark.parametrize("content", [b'{"weather": true}', b'{"weather": "5"}', b'["weather"]'])
def test_a_table_of_anything_but_numbers_is_named(checkpoint: Path, content: bytes) -> None:
    (checkpoint / "idf.json").write_bytes(content)
    with pytest.raises(UnsupportedCheckpoint, match=r"idf\.json is no object of term: weight"):
        read_checkpoint(checkpoint)


def test_a_table_of_ones_is_presence(checkpoint: Path) -> None:
    (checkpoint / "idf.json").write_bytes(orjson.dumps(dict.fromkeys(TINY_VOCABULARY, 1.0)))
    assert read_checkpoint(checkpoint).query_mode is QueryMode.BINARY
