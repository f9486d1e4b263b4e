"""Weights of a checkpoint, in every container."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pytest

from sidecar.errors import UnsupportedCheckpoint
from sidecar.export import export_checkpoint
from sidecar.export.checkpoint.weights import Weights


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
