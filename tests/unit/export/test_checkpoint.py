"""Reading checkpoint folders: weights in every container, layouts, query weights, cards."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import orjson
import pytest

from sidecar.bundle import Activation, Pooling, QueryMode
from sidecar.errors import UnsupportedCheckpoint
from sidecar.export import export_checkpoint
from sidecar.export.checkpoint import Head, read_checkpoint
from sidecar.export.checkpoint.card import read_card
from sidecar.export.checkpoint.layout import find_layout
from sidecar.export.checkpoint.weights import Weights
from tests.support.vocabulary import TINY_VOCABULARY


@pytest.fixture
def checkpoint(tiny_sparse_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_sparse_checkpoint, tmp_path / "checkpoint"))


@pytest.fixture
def router(tiny_router_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_router_checkpoint, tmp_path / "router"))


# --- weights -----------------------------------------------------------------------------------------------------


def test_every_container_gives_the_same_tensors(checkpoint: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    state = load_file(checkpoint / "model.safetensors")
    names = sorted(state)
    halves = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    folders = {name: tmp_path / name for name in ("sharded", "torch", "torch-sharded")}
    for folder in folders.values():
        folder.mkdir()
    for shard, members in halves.items():
        save_file({name: state[name] for name in members}, folders["sharded"] / shard)
        torch.save({name: state[name] for name in members}, folders["torch-sharded"] / f"{shard}.bin")
    (folders["sharded"] / "model.safetensors.index.json").write_bytes(
        orjson.dumps({"weight_map": {name: shard for shard, members in halves.items() for name in members}})
    )
    (folders["torch-sharded"] / "pytorch_model.bin.index.json").write_bytes(
        orjson.dumps({"weight_map": {name: f"{shard}.bin" for shard, members in halves.items() for name in members}})
    )
    torch.save(state, folders["torch"] / "pytorch_model.bin")
    expected = Weights.open(checkpoint)
    assert len(expected) == len(names)
    for folder in folders.values():
        found = Weights.open(folder)
        assert sorted(found) == names
        for name in names:
            np.testing.assert_array_equal(found[name], expected[name])


def test_half_precision_becomes_float32(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    values = torch.tensor([1.5, -0.25, 3.0])
    save_file({"b": values.bfloat16(), "h": values.half()}, tmp_path / "model.safetensors")
    weights = Weights.open(tmp_path)
    for name in ("b", "h"):
        assert weights[name].dtype == np.float32
        np.testing.assert_array_equal(weights[name], values.numpy())


def test_names_of_the_tensorflow_era_are_found(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"x.LayerNorm.gamma": np.ones(2, np.float32), "x.LayerNorm.beta": np.zeros(2, np.float32)},
              tmp_path / "model.safetensors")  # fmt: skip
    assert set(Weights.open(tmp_path)) == {"x.LayerNorm.weight", "x.LayerNorm.bias"}


def test_code_in_a_weight_file_is_not_run(tmp_path: Path) -> None:
    import pickle

    class Harm:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "harmed",))

    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Harm()}))
    with pytest.raises(UnsupportedCheckpoint, match="plain weights"):
        Weights.open(tmp_path)
    assert not (tmp_path / "harmed").exists()


def test_broken_and_missing_shards_are_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_bytes(orjson.dumps({"weight_map": {"a": "gone.safetensors"}}))
    with pytest.raises(UnsupportedCheckpoint, match=r"gone\.safetensors"):
        Weights.open(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x00" * 64)
    with pytest.raises(UnsupportedCheckpoint, match="no readable safetensors"):
        Weights.open(tmp_path)


def test_an_export_from_pytorch_weights_equals_the_other(checkpoint: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    first = export_checkpoint(checkpoint, tmp_path / "a").manifest
    torch.save(load_file(checkpoint / "model.safetensors"), checkpoint / "pytorch_model.bin")
    (checkpoint / "model.safetensors").unlink()
    second = export_checkpoint(checkpoint, tmp_path / "b").manifest
    assert first.files["model.onnx"] == second.files["model.onnx"]


# --- layouts -----------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("content", [b"{}", b'{"weight_map": ["a"]}', b'{"weight_map": {"a": 1}}', b"{"])
def test_a_damaged_list_of_shards_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors.index.json").write_bytes(content)
    with pytest.raises(UnsupportedCheckpoint, match=r"model\.safetensors\.index\.json"):
        Weights.open(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_clone_without_its_large_files_is_told_how_to_get_them(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(UnsupportedCheckpoint, match=f"{name} is a pointer of Git LFS.*git lfs pull"):
        Weights.open(tmp_path)


def test_a_pickle_that_is_no_table_is_named(tmp_path: Path) -> None:
    import torch

    torch.save([torch.zeros(2)], tmp_path / "pytorch_model.bin")
    with pytest.raises(UnsupportedCheckpoint, match=r"pytorch_model\.bin holds no table of name: tensor, but one list"):
        Weights.open(tmp_path)


# --- what sentence-transformers says beside the model ------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"prompts": {"query": "search: ", "document": ""}}, "query"),
        ({"prompts": {"passage": "passage: "}}, "passage"),
        ({"prompts": {"own": "words: "}, "default_prompt_name": "own"}, "own"),
    ],
)
def test_prompts_that_a_bundle_would_leave_out_are_refused(checkpoint: Path, said: object, named: str) -> None:
    (checkpoint / "config_sentence_transformers.json").write_bytes(orjson.dumps(said))
    with pytest.raises(UnsupportedCheckpoint, match=rf"puts a prompt \({named}\) before texts.*before your texts"):
        read_checkpoint(checkpoint)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"prompts": {"query": "", "document": ""}, "default_prompt_name": None},
        {"prompts": {"clustering": "nobody asks for it: "}},
    ],
)
def test_prompts_that_nobody_gets_are_not(checkpoint: Path, said: object) -> None:
    (checkpoint / "config_sentence_transformers.json").write_bytes(orjson.dumps(said))
    assert read_checkpoint(checkpoint).head is Head.MASKED_LM


@pytest.mark.parametrize("said", [{}, {"similarity_fn_name": None}, {"similarity_fn_name": "dot"}])
def test_vectors_that_an_index_compares_as_the_model_does(checkpoint: Path, said: object) -> None:
    (checkpoint / "config_sentence_transformers.json").write_bytes(orjson.dumps(said))
    assert read_checkpoint(checkpoint).active_terms is None


@pytest.mark.parametrize("named", ["cosine", "euclidean", "manhattan", "of a later release", 7])
def test_vectors_that_are_compared_otherwise_are_refused(checkpoint: Path, named: object) -> None:
    (checkpoint / "config_sentence_transformers.json").write_bytes(orjson.dumps({"similarity_fn_name": named}))
    with pytest.raises(UnsupportedCheckpoint, match=rf"compares vectors by {named}, and an index scores by the dot"):
        read_checkpoint(checkpoint)


def test_how_many_terms_a_vector_keeps(checkpoint: Path) -> None:
    (checkpoint / "config_sentence_transformers.json").write_bytes(b'{"max_active_dims": 64}')
    assert read_checkpoint(checkpoint).active_terms == 64


@pytest.mark.parametrize("kept", [0, -1, 1.5, True, "64"])
def test_a_number_of_terms_that_is_none_is_named(checkpoint: Path, kept: object) -> None:
    (checkpoint / "config_sentence_transformers.json").write_bytes(orjson.dumps({"max_active_dims": kept}))
    with pytest.raises(UnsupportedCheckpoint, match="no whole number above 0 under max_active_dims"):
        read_checkpoint(checkpoint)


@pytest.mark.parametrize(("asked", "expected"), [(True, ["rain", "new"]), (False, ["[UNK]", "[UNK]"])])
def test_texts_are_lowercased_where_sentence_transformers_does_it(
    checkpoint: Path, asked: bool, expected: list[str]
) -> None:
    cased = orjson.loads((checkpoint / "tokenizer.json").read_bytes())
    cased["normalizer"] = None
    (checkpoint / "tokenizer.json").write_bytes(orjson.dumps(cased))
    (checkpoint / "sentence_bert_config.json").write_bytes(orjson.dumps({"do_lower_case": asked}))
    tokenizer = read_checkpoint(checkpoint).tokenizer
    assert tokenizer.encode("RAIN NEW", add_special_tokens=False).tokens == expected


def test_a_tokenizer_that_lowercases_is_left_alone(checkpoint: Path) -> None:
    before = read_checkpoint(checkpoint).tokenizer.to_str()
    (checkpoint / "sentence_bert_config.json").write_bytes(b'{"do_lower_case": true}')
    assert read_checkpoint(checkpoint).tokenizer.to_str() == before


# --- query weights -----------------------------------------------------------------------------------------------


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


# --- cards -------------------------------------------------------------------------------------------------------


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
