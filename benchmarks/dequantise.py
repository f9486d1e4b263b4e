"""From an int8 bundle back to a checkpoint that torch loads: the same weights, rounded as the bundle has them.

Only for graphs that sidecar.export built: the tensors are found by their place in the graph, and anything unexpected is
refused. Whoever has the original checkpoint should give it instead.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, numpy_helper
from safetensors.numpy import save_file

from benchmarks.errors import PeerUnavailable
from sidecar.bundle import Bundle
from sidecar.domain import ModelKind
from sidecar.export.checkpoint.architecture import Family
from sidecar.export.checkpoint.names import layer_names, masked_lm_names

__all__ = ["dequantised_checkpoint"]

Array = NDArray[np.float32]

EPSILON = 1e-12
PRODUCT = "MatMulIntegerToFloat"
NORM = "LayerNormalization"

PRODUCTS = 6
"""Matrix products of a layer: query, key, value, attention output, intermediate, output."""

NEVER = -1e4
"""The bias of a vocabulary entry that the exporter left out of the decoder, as it is never above 0."""


@dataclass(frozen=True, slots=True)
class _Linear:
    """A matrix product with constants: weight [out, in] in float32, and bias [out]."""

    weight: Array
    bias: Array


def dequantised_checkpoint(bundle: Bundle, folder: Path) -> Path:
    """Write a BERT folder (config, weights, tokenizer) of what the bundle holds; raise PeerUnavailable if it can't be.

    Token type embeddings that the exporter folded into the positions come back as zeros.
    """
    graph = _Graph(onnx.load(bundle.file("model.onnx")).graph)
    try:
        state, config = graph.masked_lm() if bundle.manifest.kind is ModelKind.SPARSE_ENCODER else graph.classifier()
    except (KeyError, IndexError, ValueError, StopIteration) as error:
        raise PeerUnavailable(
            f"The graph of {bundle.manifest.name} is none that can be turned back into a checkpoint"
            f" ({type(error).__name__}): give the original with --checkpoints."
        ) from None
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    write_tokenizer(bundle, folder)
    return folder


def write_tokenizer(bundle: Bundle, folder: Path) -> None:
    """Put the bundle's tokenizer into `folder`, with the two files beside it that transformers and others read."""
    shutil.copyfile(bundle.file("tokenizer.json"), folder / "tokenizer.json")
    names = {
        "unk_token": "[UNK]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
    }
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": bundle.manifest.max_tokens,
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        **names,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2))
    (folder / "special_tokens_map.json").write_text(json.dumps(names, indent=2))


class _Graph:
    """A graph of `sidecar.export.graph`, read in the order in which it was written."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._nodes = list(graph.node)
        self._constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self._by_output = {name: node for node in self._nodes for name in node.output}
        shape = next(
            found
            for node in self._of("Concat")
            if (found := self._constants.get(node.input[-1])) is not None and found.shape == (3,)
        )
        self.heads, self.size = int(shape[1]), int(shape[2])
        self.hidden = self.heads * self.size

    def masked_lm(self) -> tuple[dict[str, Array], dict[str, object]]:
        products = list(self._products())
        norms = list(self._norms())
        layers = (len(norms) - 2) // 2
        state, config = self._body("bert.", layers, products, norms)
        head, table = products[PRODUCTS * layers], self._table()
        names = masked_lm_names(Family.BERT)
        state["bert.embeddings.word_embeddings.weight"] = table
        state[f"{names.dense}.weight"], state[f"{names.dense}.bias"] = head.weight, head.bias
        state[f"{names.norm}.weight"], state[f"{names.norm}.bias"] = norms[-1]
        state[names.biases[0]] = self._decoder_bias(len(table))
        return _tidy(state), {**config, "vocab_size": len(table), "architectures": ["BertForMaskedLM"]}

    def classifier(self) -> tuple[dict[str, Array], dict[str, object]]:
        products = list(self._products())
        norms = list(self._norms())
        layers = (len(norms) - 1) // 2
        state, config = self._body("bert.", layers, products, norms)
        table = self._table()
        state["bert.embeddings.word_embeddings.weight"] = table
        plain = [node for node in self._of("MatMul") if node.input[1] in self._constants]
        for node, name in zip(plain, ("bert.pooler.dense", "classifier"), strict=True):
            state[f"{name}.weight"] = self._constants[node.input[1]].T
            state[f"{name}.bias"] = self._constants[self._reader(node, "Add").input[1]]
        more = {"vocab_size": len(table), "architectures": ["BertForSequenceClassification"]}
        return _tidy(state), {**config, **more, "id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}

    def _body(
        self, prefix: str, layers: int, products: list[_Linear], norms: list[tuple[Array, Array]]
    ) -> tuple[dict[str, Array], dict[str, object]]:
        positions = next(
            found
            for node in self._of("Slice")
            if (found := self._constants.get(node.input[0])) is not None and found.ndim == 2
        )
        types = next(
            (value for value in self._constants.values() if value.shape == (2, self.hidden)),
            np.zeros((2, self.hidden), dtype=np.float32),
        )
        state: dict[str, Array] = {
            f"{prefix}embeddings.position_embeddings.weight": positions,
            f"{prefix}embeddings.token_type_embeddings.weight": types,
            f"{prefix}embeddings.LayerNorm.weight": norms[0][0],
            f"{prefix}embeddings.LayerNorm.bias": norms[0][1],
        }
        for layer in range(layers):
            names = layer_names(Family.BERT, prefix, layer)
            linears = (names.query, names.key, names.value, names.attention_output, names.intermediate, names.output)
            own = products[PRODUCTS * layer : PRODUCTS * (layer + 1)]
            for name, linear in zip(linears, own, strict=True):
                # The exporter folded the attention's scale into the query.
                factor = np.float32(self.size**0.5 if name == names.query else 1.0)
                state[f"{name}.weight"], state[f"{name}.bias"] = linear.weight * factor, linear.bias * factor
            for name, norm in ((names.attention_norm, norms[2 * layer + 1]), (names.output_norm, norms[2 * layer + 2])):
                state[f"{name}.weight"], state[f"{name}.bias"] = norm
        config: dict[str, object] = {
            "model_type": "bert",
            "hidden_size": self.hidden,
            "num_hidden_layers": layers,
            "num_attention_heads": self.heads,
            "intermediate_size": len(products[4].weight),
            "hidden_act": "gelu",
            "max_position_embeddings": len(positions),
            "type_vocab_size": len(types),
            "layer_norm_eps": EPSILON,
            "pad_token_id": 0,
        }
        return state, config

    def _products(self) -> Iterator[_Linear]:
        """Every int8 product of a layer in order, back in float32; those with vocabulary tiles are left out."""
        for node in self._of(PRODUCT):
            stored = self._constants.get(node.input[1])
            if stored is None:
                continue
            scales = self._constants[node.input[3]]
            weight = stored.T.astype(np.float32) * scales[:, None] * self._divisors(node)
            scaled = self._reader(node, "Mul").output[0]
            added = next((other for other in self._of("Add") if scaled in other.input), None)
            # Key and value have none: softmax takes the one away, the layer behind attention holds the other.
            bias = np.zeros(len(weight), dtype=np.float32) if added is None else self._constants[added.input[1]]
            yield _Linear(weight, bias)

    def _divisors(self, product: NodeProto) -> Array | np.float32:
        """What the exporter multiplied a product's input channels by, as calibration wanted it; 1 where it did not."""
        rounded = self._by_output[product.input[0]]
        before = self._by_output.get(rounded.input[0])
        found = None if before is None or before.op_type != "Mul" else self._constants.get(before.input[1])
        return np.float32(1.0) if found is None or found.ndim != 1 else np.asarray(found, dtype=np.float32)

    def _table(self) -> Array:
        """The embeddings [vocabulary, hidden], which are stored whole or in the decoder's tiles."""
        name = self._lookup().input[0]
        if name in self._constants:
            levels = self._constants[name]
        else:
            levels = np.concatenate([self._constants[piece] for piece in self._by_output[name].input])
        scales = next(value for value in self._constants.values() if value.shape == (len(levels), 1))
        return np.asarray(levels.astype(np.float32) * scales)

    def _decoder_bias(self, vocabulary: int) -> Array:
        """The bias of every entry; a last Gather puts the live entries' weights into their places among zeros."""
        places = next(
            (
                found
                for node in self._of("Gather")
                if (found := self._constants.get(node.input[1])) is not None
                and found.shape == (vocabulary,)
                and node.input[0] not in self._constants
            ),
            None,
        )
        live = vocabulary if places is None else int(places.max())
        bias = next(
            found
            for node in self._of("Add")
            if (found := self._constants.get(node.input[1])) is not None and found.shape == (live,)
        )
        return np.asarray(bias if places is None else np.append(bias, np.float32(NEVER))[places], dtype=np.float32)

    def _norms(self) -> Iterator[tuple[Array, Array]]:
        for node in self._of(NORM):
            yield self._constants[node.input[1]], self._constants[node.input[2]]

    def _lookup(self) -> NodeProto:
        return next(node for node in self._of("Gather") if node.input[1] == "input_ids")

    def _reader(self, node: NodeProto, operator: str) -> NodeProto:
        return next(other for other in self._of(operator) if node.output[0] in other.input)

    def _of(self, operator: str) -> Iterator[NodeProto]:
        return (node for node in self._nodes if node.op_type == operator)


def _tidy(state: dict[str, Array]) -> dict[str, Array]:
    return {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in state.items()}
