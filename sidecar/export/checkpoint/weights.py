"""The tensors of a checkpoint folder, read one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from sidecar.errors import UnsupportedCheckpoint
from sidecar.export.checkpoint.files import read_object

__all__ = ["Array", "Weights"]

Array: TypeAlias = NDArray[np.float32]

_SINGLE = "model.safetensors"
_SHARDED = "model.safetensors.index.json"
_TORCH = "pytorch_model.bin"
_TORCH_SHARDED = "pytorch_model.bin.index.json"

_POINTER = b"version https://git-lfs"


class Weights(Mapping[str, Array]):
    """Tensors by name, as float32 whatever the file holds (float16 and bfloat16 too).

    Reads `model.safetensors`, its sharded form, or `pytorch_model.bin` (weights only: no code in the file is run).
    Names of the TensorFlow era (`LayerNorm.gamma`, `LayerNorm.beta`) are found under today's.
    """

    def __init__(self, readers: Mapping[str, Callable[[], Array]]) -> None:
        self._readers = {_todays_name(name): read for name, read in readers.items()}

    @classmethod
    def open(cls, folder: Path) -> Weights:
        """Find the folder's weight files; raise UnsupportedCheckpoint where there are none that can be read."""
        if (folder / _SINGLE).is_file():
            return cls(_safetensors(folder / _SINGLE))
        if (folder / _SHARDED).is_file():
            return cls(_merged(folder, _SHARDED, _safetensors))
        if (folder / _TORCH).is_file():
            return cls(_torch(folder / _TORCH))
        if (folder / _TORCH_SHARDED).is_file():
            return cls(_merged(folder, _TORCH_SHARDED, _torch))
        raise UnsupportedCheckpoint(
            f"{folder} has no weights: {_SINGLE}, {_TORCH} or their sharded forms are read. "
            "A ready ONNX file becomes a bundle with `sidecar models import`."
        )

    def __getitem__(self, name: str) -> Array:
        return self._readers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)

    def need(self, name: str) -> Array:
        """Return a tensor that the architecture must have, or raise UnsupportedCheckpoint naming it."""
        if name not in self._readers:
            raise UnsupportedCheckpoint(
                f"The checkpoint lacks the tensor {name}: it is incomplete or not what it says."
            )
        return self[name]


def _todays_name(name: str) -> str:
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _require_content(path: Path) -> None:
    with path.open("rb") as stream:
        if stream.read(len(_POINTER)) == _POINTER:
            raise UnsupportedCheckpoint(f"{path} is a pointer of Git LFS, not the weights: run `git lfs pull` there.")


def _safetensors(path: Path) -> dict[str, Callable[[], Array]]:
    _require_content(path)
    try:
        # torch as framework: numpy has no bfloat16.
        opened = safe_open(path, framework="pt")
    except SafetensorError as error:
        raise UnsupportedCheckpoint(f"{path} is no readable safetensors file: {error}.") from None

    def reader(name: str) -> Callable[[], Array]:
        return lambda: _float32(opened.get_tensor(name))  # type: ignore[no-untyped-call]

    return {name: reader(name) for name in opened.keys()}  # type: ignore[no-untyped-call] # noqa: SIM118


def _torch(path: Path) -> dict[str, Callable[[], Array]]:
    import torch

    _require_content(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UnsupportedCheckpoint(f"{path} can't be read as plain weights: {type(error).__name__}.") from error

    if not isinstance(state, dict):
        raise UnsupportedCheckpoint(f"{path} holds no table of name: tensor, but one {type(state).__name__}.")

    def reader(tensor: torch.Tensor) -> Callable[[], Array]:
        return lambda: _float32(tensor)

    return {name: reader(tensor) for name, tensor in state.items() if isinstance(tensor, torch.Tensor)}


def _merged(
    folder: Path, index: str, read: Callable[[Path], dict[str, Callable[[], Array]]]
) -> dict[str, Callable[[], Array]]:
    places = read_object(folder / index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(shard, str) for shard in places.values()):
        raise UnsupportedCheckpoint(f"{folder / index} has no weight_map of tensor: file.")
    shards = sorted(set(places.values()))
    missing = [shard for shard in shards if not (folder / shard).is_file()]
    if missing:
        raise UnsupportedCheckpoint(f"{index} names {missing[0]}, which is not in {folder}.")
    merged: dict[str, Callable[[], Array]] = {}
    for shard in shards:
        merged |= read(folder / shard)
    return merged


def _float32(tensor: object) -> Array:
    import torch

    assert isinstance(tensor, torch.Tensor)
    return np.asarray(tensor.detach().to(torch.float32).contiguous().numpy(), dtype=np.float32)
