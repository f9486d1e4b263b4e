"""The same weights in the form that each peer loads."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import helper

from benchmarks.dequantise import dequantised_checkpoint, write_tokenizer
from benchmarks.errors import PeerUnavailable
from benchmarks.naive_graph import add_naive_logits
from sidecar.bundle import Bundle
from sidecar.domain import ModelKind
from sidecar.export.checkpoint import read_checkpoint
from sidecar.export.graph.builder import GraphBuilder

__all__ = ["Checkpoints", "find_checkpoint", "flashrank_folder", "naive_folder"]

FLASHRANK_NAME, FLASHRANK_FILE = "ms-marco-MiniLM-L-12-v2", "flashrank-MiniLM-L-12-v2_Q.onnx"
"""FlashRank takes no folder of one's own: it knows names, and the name of the file in each one's folder."""

ARCHITECTURES = {ModelKind.SPARSE_ENCODER: "ForMaskedLM", ModelKind.CROSS_ENCODER: "ForSequenceClassification"}


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """A bundle, the checkpoint with its weights, and where that came from."""

    bundle: Bundle
    folder: Path
    origin: str


def find_checkpoint(bundle: Bundle, given: Path | None, work: Path) -> Checkpoints:
    """Return the checkpoint of the bundle's weights.

    `given` is the folder that the training wrote, if it is there: it is searched for a model of the right kind. Else
    the bundle's own int8 weights are turned back into float32. Raises PeerUnavailable where neither is possible.
    """
    if given is not None and given.is_dir():
        for config in sorted(given.rglob("config.json")):
            names = json.loads(config.read_text()).get("architectures") or [""]
            if names[0].endswith(ARCHITECTURES[bundle.manifest.kind]):
                return Checkpoints(bundle, config.parent, "training checkpoint, fp32")
    folder = work / f"{bundle.manifest.name}-{bundle.fingerprint[:12]}"
    if not (folder / "config.json").exists():
        partial = folder.with_name(folder.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        dequantised_checkpoint(bundle, partial)
        partial.rename(folder)
    return Checkpoints(bundle, folder, "the bundle's int8 weights, back in fp32")


def naive_folder(checkpoint: Checkpoints, work: Path) -> Path:
    """Return a folder with a naive export of a sparse encoder: masked-LM logits [batch, length, vocabulary], fp32.

    It is laid out as fastembed wants it.
    """
    folder = work / f"naive-{checkpoint.bundle.fingerprint[:12]}"
    if not (folder / "model.onnx").exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(checkpoint.folder / "config.json", folder / "config.json")
        write_tokenizer(checkpoint.bundle, folder)
        partial = folder / "model.partial"
        onnx.save_model(_naive_logits(checkpoint.folder), partial)
        partial.rename(folder / "model.onnx")
    return folder


def flashrank_folder(checkpoint: Checkpoints, work: Path) -> Path:
    """Return a folder with the bundle's own graph under the names that FlashRank looks for."""
    folder = work / f"flashrank-{checkpoint.bundle.fingerprint[:12]}" / FLASHRANK_NAME
    if checkpoint.bundle.manifest.graph is None or checkpoint.bundle.manifest.graph.token_type_ids is None:
        raise PeerUnavailable("FlashRank gives every graph token types, and this one has no such input.")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(checkpoint.bundle.file("model.onnx"), folder / FLASHRANK_FILE)
    shutil.copyfile(checkpoint.folder / "config.json", folder / "config.json")
    write_tokenizer(checkpoint.bundle, folder)
    return folder


def _naive_logits(folder: Path) -> onnx.ModelProto:
    checkpoint = read_checkpoint(folder)
    builder = GraphBuilder("naive")
    builder.output("logits", add_naive_logits(builder, checkpoint), checkpoint.rows)
    model = builder.model()
    # The builder's outputs are [batch, columns]; this one has a length as well.
    del model.graph.output[:]
    model.graph.output.append(
        helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", "length", checkpoint.rows])
    )
    return model
