"""Where the parts of a checkpoint lie, and files beside the weights that are damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

import orjson
import pytest

from sidecar.bundle import Activation, Pooling, QueryMode
from sidecar.errors import UnsupportedCheckpoint
from sidecar.export.checkpoint import Head, read_checkpoint
from sidecar.export.checkpoint.layout import find_layout
from tests.support.vocabulary import TINY_VOCABULARY


def test_a_router_is_followed(router: Path) -> None:
    layout = find_layout(router)
    assert layout.transformer == router / "document_0_Transformer"
    assert layout.query == router / "query_0_SparseStaticEmbedding"
    assert (layout.pooling, layout.activation) == (Pooling.MAX, Activation.LOG1P_LOG1P_RELU)
    found = read_checkpoint(router)
    assert found.head is Head.MASKED_LM
    assert found.query_mode is QueryMode.IDF
    assert found.rows == len(TINY_VOCABULARY)


def test_a_router_whose_transformer_lies_at_the_root(router: Path) -> None:
    """As in opensearch-project's repositories: the empty name is the folder itself."""
    for file in (router / "document_0_Transformer").iterdir():
        shutil.move(file, router / file.name)
    config = orjson.loads((router / "router_config.json").read_bytes())
    config["types"][""] = config["types"].pop("document_0_Transformer")
    config["structure"]["document"][0] = ""
    (router / "router_config.json").write_bytes(orjson.dumps(config))
    assert find_layout(router).transformer == router
    assert read_checkpoint(router).activation is Activation.LOG1P_LOG1P_RELU


def test_a_static_embedding_may_take_its_weights_from_json(router: Path) -> None:
    static = router / "query_0_SparseStaticEmbedding"
    (static / "model.safetensors").unlink()
    (static / "config.json").write_bytes(orjson.dumps({"frozen": True, "path": "idf.json"}))
    with pytest.raises(UnsupportedCheckpoint, match=r"idf\.json"):
        read_checkpoint(router)
    (router / "idf.json").write_bytes(orjson.dumps({"weather": 4.5, "[SEP]": 3.0, "now": 2.0}))
    assert read_checkpoint(router).query_weights == {"weather": 4.5, "now": 2.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"structure": {"image": []}}, "routes image"),
        (
            {"structure": {"query": ["document_1_SpladePooling"], "document": ["document_0_Transformer"]}},
            "SpladePooling",
        ),
        ({"types": {"../outside": "x.Transformer"}, "structure": {"query": [], "document": ["../outside"]}}, "outside"),
    ],
)
def test_routers_that_are_not_known(router: Path, change: dict[str, object], message: str) -> None:
    config = orjson.loads((router / "router_config.json").read_bytes())
    (router / "router_config.json").write_bytes(orjson.dumps({**config, **change}))
    with pytest.raises(UnsupportedCheckpoint, match=message):
        find_layout(router)


def test_a_dense_sentence_transformer_is_named(checkpoint: Path) -> None:
    modules = [
        {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    (checkpoint / "modules.json").write_bytes(orjson.dumps(modules))
    with pytest.raises(UnsupportedCheckpoint, match=r"Transformer, Pooling.*models import"):
        find_layout(checkpoint)


@pytest.mark.parametrize(("name", "content"), [("modules.json", b"{"), ("modules.json", b"{}"), ("config.json", b"[]")])
def test_files_that_are_no_json_are_named(checkpoint: Path, name: str, content: bytes) -> None:
    (checkpoint / name).write_bytes(content)
    with pytest.raises(UnsupportedCheckpoint, match=name.replace(".", r"\.")):
        read_checkpoint(checkpoint)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer_config.json", b"{"),
        ("tokenizer_config.json", b"[]"),
        ("sentence_bert_config.json", b"not json"),
        ("config_sentence_transformers.json", b"[]"),
        ("modules.json", b'[{"path": ""}]'),
        ("modules.json", b'["Transformer"]'),
        ("idf.json", b"{"),
        ("query_token_weights.txt", b"rain\t1.0\n\xff\xfe"),
    ],
)
def test_damaged_files_beside_the_weights_are_named(checkpoint: Path, name: str, content: bytes) -> None:
    (checkpoint / name).write_bytes(content)
    with pytest.raises(UnsupportedCheckpoint, match=name.replace(".", r"\.")):
        read_checkpoint(checkpoint)


@pytest.mark.parametrize("change", [{"types": None}, {"structure": []}, {"types": {}}, {"structure": {"query": "x"}}])
def test_a_damaged_router_is_named(router: Path, change: dict[str, object]) -> None:
    config = orjson.loads((router / "router_config.json").read_bytes())
    (router / "router_config.json").write_bytes(orjson.dumps({**config, **change}))
    with pytest.raises(UnsupportedCheckpoint, match=r"router_config\.json"):
        find_layout(router)
