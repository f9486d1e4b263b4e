"""The scripts of the ingest pipeline on a real node; between them a fixed vector, because encoding needs a plugin."""

from __future__ import annotations

import pytest

from sidecar.cluster import IndexSpec
from sidecar.cluster.documents import source_text, write_action
from sidecar.cluster.pipelines import ingest_pipeline
from sidecar.domain import SparseVector
from sidecar.engine import Engine, dialect_named
from tests.support.dialects import any_model

pytestmark = pytest.mark.integration

VECTOR = SparseVector((7, 12), (1.5, 0.5), ("wing", "u.s."))
DOCUMENTS = [
    {"title": "Wing stall", "text": "Lift drops."},
    {"title": " Wing ", "text": ["stall", "", "and spin"], "price": 3},
    {"title": "Tragfläche 日本 🐺", "text": None},
    {"title": 7, "text": "only this", "splade": {"old": 1.0}, "splade_hash": "old"},
    {"title": "  ", "text": "", "splade": {"old": 1.0}},
    {"price": 3},
]


@pytest.mark.parametrize("name", ["neural_sparse", "seismic"])
async def test_what_the_pipeline_writes_is_what_index_writes(engine: Engine, name: str) -> None:
    dialect = dialect_named(name)
    meta = IndexSpec("shop", any_model()).meta(name)
    joining, encoding, naming = ingest_pipeline(meta, dialect, "m1")["processors"]
    assert encoding["sparse_encoding"]["field_map"] == {"splade_text": "splade"}
    features = {"wing": 1.5, "u.s.": 0.5} if name == "neural_sparse" else {"7": 1.5, "12": 0.5}
    # The plugin's processor writes a vector where there is a text, and nothing elsewhere.
    encoded = {"set": {"field": "splade", "value": features, "if": "ctx.splade_text != null"}}
    body = {
        "pipeline": {"processors": [joining, encoded, naming]},
        "docs": [{"_source": document} for document in DOCUMENTS],
    }
    answer = await engine.send("POST", "/_ingest/pipeline/_simulate", body)
    written = [entry["doc"]["_source"] for entry in answer["docs"]]
    for document, found in zip(DOCUMENTS, written, strict=True):
        text = source_text("1", document, meta)
        vector = VECTOR if text else None
        assert found == write_action("shop", "1", document, text, vector, meta, dialect).document
