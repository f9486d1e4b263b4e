"""An index that is prepared for vectors by hand, without a sidecar."""

from __future__ import annotations

import pytest

from sidecar.engine import Engine, IndexMeta

META = IndexMeta(fingerprint="0123456789abcdef" * 4, bundle="starter")


def mapping(meta: IndexMeta = META) -> dict[str, object]:
    fields = {"splade": {"type": "rank_features"}, "text": {"type": "text"}, "n": {"type": "integer"}}
    return {
        "settings": {"refresh_interval": "10ms"},
        "mappings": {"_meta": meta.to_mapping(), "properties": fields},
    }


@pytest.fixture
async def prepared(engine: Engine, index_name: str) -> str:
    await engine.create_index(index_name, mapping())
    return index_name
