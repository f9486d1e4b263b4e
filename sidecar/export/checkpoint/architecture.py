"""Which body a checkpoint has: its family and dimensions, read from config.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from sidecar.errors import UnsupportedCheckpoint
from sidecar.export.checkpoint.files import read_object

__all__ = ["Body", "Config", "Family", "HiddenActivation", "read_config"]


class Family(StrEnum):
    """Bodies that the graph builder knows."""

    BERT = "bert"
    DISTILBERT = "distilbert"
    ROBERTA = "roberta"


class HiddenActivation(StrEnum):
    """Activation of the feed-forward layers and of the masked-LM head; `gelu` is the exact one (erf)."""

    GELU = "gelu"
    GELU_TANH = "gelu_tanh"
    RELU = "relu"


FAMILIES: Final = {
    "bert": Family.BERT,
    "distilbert": Family.DISTILBERT,
    "roberta": Family.ROBERTA,
    "xlm-roberta": Family.ROBERTA,
    "camembert": Family.ROBERTA,
}
"""`model_type` -> family."""

_ACTIVATIONS: Final = {
    "gelu": HiddenActivation.GELU,
    "gelu_python": HiddenActivation.GELU,
    "gelu_new": HiddenActivation.GELU_TANH,
    "gelu_pytorch_tanh": HiddenActivation.GELU_TANH,
    "relu": HiddenActivation.RELU,
}


class Config(Mapping[str, object]):
    """config.json with typed access; a key of the wrong type is an UnsupportedCheckpoint naming it."""

    def __init__(self, values: Mapping[str, object], path: Path) -> None:
        self._values = values
        self.path = path

    def __getitem__(self, key: str) -> object:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def integer(self, key: str, default: int | None = None) -> int:
        value = self._values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise UnsupportedCheckpoint(f"{self.path} has no whole number under {key}.")
        return value

    def number(self, key: str, default: float) -> float:
        value = self._values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UnsupportedCheckpoint(f"{self.path} has no number under {key}.")
        return float(value)

    def text(self, key: str, default: str = "") -> str:
        value = self._values.get(key)
        return value if isinstance(value, str) else default

    def flag(self, key: str, default: bool) -> bool:
        value = self._values.get(key)
        return value if isinstance(value, bool) else default

    def section(self, key: str) -> Mapping[str, object]:
        value = self._values.get(key)
        return value if isinstance(value, dict) else {}

    @property
    def architectures(self) -> tuple[str, ...]:
        value = self._values.get("architectures")
        return tuple(name for name in value if isinstance(name, str)) if isinstance(value, list) else ()


@dataclass(frozen=True, slots=True)
class Body:
    """Dimensions of an encoder. `positions` is the longest text it reads, `first_position` the row of the first token.

    `token_types` is the number of segment embeddings, 0 where the family has none.
    """

    family: Family
    layers: int
    heads: int
    hidden: int
    vocabulary: int
    positions: int
    first_position: int
    token_types: int
    epsilon: float
    activation: HiddenActivation

    @classmethod
    def of(cls, config: Config) -> Body:
        """Read the body from config.json; raise UnsupportedCheckpoint for what the builder does not know."""
        model_type = config.text("model_type", "unknown")
        if model_type not in FAMILIES:
            architecture = ", ".join(config.architectures) or "no architecture named"
            raise UnsupportedCheckpoint(
                f"{config.path} is a {model_type} model ({architecture}); the exporter knows "
                f"{', '.join(FAMILIES)}. Export it to ONNX with its own tools and use "
                "`sidecar models import`."
            )
        if config.text("position_embedding_type", "absolute") != "absolute":
            raise UnsupportedCheckpoint(
                f"{config.path} has {config.text('position_embedding_type')} positions; only absolute ones are known. "
                "Export it to ONNX with its own tools and use `sidecar models import`."
            )
        family = FAMILIES[model_type]
        distil = family is Family.DISTILBERT
        # RoBERTa counts positions from padding id + 1.
        first = config.integer("pad_token_id", 1) + 1 if family is Family.ROBERTA else 0
        activation = config.text("activation" if distil else "hidden_act", "gelu")
        if activation not in _ACTIVATIONS:
            raise UnsupportedCheckpoint(
                f"{config.path} has the activation {activation}; known: {', '.join(_ACTIVATIONS)}."
            )
        return cls(
            family=family,
            layers=config.integer("n_layers" if distil else "num_hidden_layers"),
            heads=config.integer("n_heads" if distil else "num_attention_heads"),
            hidden=config.integer("dim" if distil else "hidden_size"),
            vocabulary=config.integer("vocab_size"),
            positions=config.integer("max_position_embeddings") - first,
            first_position=first,
            token_types=0 if distil else config.integer("type_vocab_size", 2),
            epsilon=1e-12 if distil else config.number("layer_norm_eps", 1e-12),
            activation=_ACTIVATIONS[activation],
        )


def read_config(folder: Path) -> Config:
    """Read a folder's config.json; raise UnsupportedCheckpoint where it is missing or no JSON object."""
    path = folder / "config.json"
    if not path.exists():
        raise UnsupportedCheckpoint(
            f"{folder} is no checkpoint: config.json is missing. A ready ONNX file becomes a bundle with "
            "`sidecar models import`."
        )
    return Config(read_object(path), path)
