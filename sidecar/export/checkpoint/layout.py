"""Where in a folder the transformer, the pooling and the query weights lie: plain or sentence-transformers layout."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sidecar.bundle.manifest import Activation, Pooling
from sidecar.errors import UnsupportedCheckpoint
from sidecar.export.checkpoint.files import read_json, read_object

__all__ = ["Layout", "find_layout"]

TRANSFORMERS: Final = {"Transformer", "MLMTransformer"}
STATIC: Final = "SparseStaticEmbedding"
POOLING: Final = "SpladePooling"
ROUTER: Final = "Router"

ACTIVATIONS: Final = {
    # SpladePooling always applies log1p after its `activation_function`: `log1p_relu` therefore means two logarithms.
    "relu": Activation.LOG1P_RELU,
    "log1p_relu": Activation.LOG1P_LOG1P_RELU,
}


@dataclass(frozen=True, slots=True)
class Layout:
    """`transformer` holds config.json and weights; `query` the static query embedding, or is None.

    `pooling` and `activation` are None where the folder says nothing about them (no SpladePooling module).
    """

    transformer: Path
    query: Path | None = None
    query_config: Mapping[str, object] | None = None
    pooling: Pooling | None = None
    activation: Activation | None = None


@dataclass(frozen=True, slots=True)
class _Module:
    kind: str
    folder: Path


def find_layout(folder: Path) -> Layout:
    """Read modules.json and router_config.json where there are any.

    Raises UnsupportedCheckpoint for module chains that are not a SPLADE encoder or a plain cross-encoder.
    """
    modules_file = folder / "modules.json"
    if not modules_file.is_file():
        return Layout(folder)
    listed = read_json(modules_file)
    if not isinstance(listed, list) or not all(isinstance(entry, dict) and "type" in entry for entry in listed):
        raise UnsupportedCheckpoint(f"{modules_file} is no list of modules.")
    modules = [_module(folder, str(entry["type"]), str(entry.get("path", ""))) for entry in listed]
    if not modules or modules[0].kind != ROUTER:
        return _chain(folder, modules)
    if len(modules) != 1:
        raise _unknown(folder, modules)
    return _router(folder, modules[0].folder)


def _router(root: Path, folder: Path) -> Layout:
    path = folder / "router_config.json"
    config = read_object(path if path.is_file() else folder / "config.json")
    types, structure = config.get("types"), config.get("structure")
    if not isinstance(types, dict) or not isinstance(structure, dict):
        raise UnsupportedCheckpoint(f"{path} names no types and structure of modules.")
    if not all(isinstance(chain, list) and types.keys() >= {*map(str, chain)} for chain in structure.values()):
        raise UnsupportedCheckpoint(f"{path} routes through modules whose types it does not name.")
    routes = {
        name: [_module(folder, str(types[module]), module) for module in chain] for name, chain in structure.items()
    }
    if set(routes) != {"query", "document"}:
        raise UnsupportedCheckpoint(f"{path} routes {', '.join(sorted(routes))}; query and document are expected.")
    query, document = routes["query"], routes["document"]
    layout = _chain(root, document)
    if [module.kind for module in query] == [STATIC]:
        static = query[0].folder
        return Layout(layout.transformer, static, _static_config(static), layout.pooling, layout.activation)
    if [(module.kind, module.folder) for module in query] == [(module.kind, module.folder) for module in document]:
        return layout
    raise UnsupportedCheckpoint(
        f"{path} encodes queries by {_names(query)}; a static embedding or the document's own encoder is known."
    )


def _chain(root: Path, modules: list[_Module]) -> Layout:
    kinds = [module.kind for module in modules]
    if len(kinds) == 1 and kinds[0] in TRANSFORMERS:
        return Layout(modules[0].folder)
    if len(kinds) != 2 or kinds[0] not in TRANSFORMERS or kinds[1] != POOLING:
        raise _unknown(root, modules)
    config = read_object(modules[1].folder / "config.json")
    pooling, activation = str(config.get("pooling_strategy", "max")), str(config.get("activation_function", "relu"))
    if pooling not in set(Pooling) or activation not in ACTIVATIONS:
        raise UnsupportedCheckpoint(f"SpladePooling with {pooling} and {activation} is not known.")
    return Layout(modules[0].folder, pooling=Pooling(pooling), activation=ACTIVATIONS[activation])


def _unknown(root: Path, modules: list[_Module]) -> UnsupportedCheckpoint:
    return UnsupportedCheckpoint(
        f"{root} chains {_names(modules)}; known are a transformer with SpladePooling, a router of these, and a plain "
        "transformer. Export it to ONNX with its own tools and use `sidecar models import`."
    )


def _names(modules: list[_Module]) -> str:
    return ", ".join(module.kind for module in modules) or "no module"


def _module(folder: Path, kind: str, path: str) -> _Module:
    inside = (folder / path).resolve()
    if not inside.is_relative_to(folder.resolve()):
        raise UnsupportedCheckpoint(f"{folder} names a module outside of itself: {path}.")
    return _Module(re.split(r"[.]", kind)[-1], folder / path if path else folder)


def _static_config(folder: Path) -> Mapping[str, object]:
    path = folder / "config.json"
    return read_object(path) if path.is_file() else {}
