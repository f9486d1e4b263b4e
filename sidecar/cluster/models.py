"""Which of the models that a sidecar serves is meant."""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.domain import ModelInfo, ModelKind
from sidecar.engine import IndexMeta
from sidecar.errors import UnknownModel

__all__ = ["encoder_of_index", "pick_encoder"]


def pick_encoder(models: Sequence[ModelInfo], name: str | None = None) -> ModelInfo:
    """Return the sparse encoder called `name`, or the default one; raise UnknownModel where there is none."""
    encoders = _encoders(models, name)
    return next((model for model in encoders if model.is_default), encoders[0])


def encoder_of_index(models: Sequence[ModelInfo], meta: IndexMeta, index: str, name: str | None = None) -> ModelInfo:
    """Return the served model that encoded the index; `name` narrows the choice.

    Raises UnknownModel where no sparse encoder (of that name) is served, FingerprintMismatch where the index was
    encoded by another one.
    """
    encoders = _encoders(models, name)
    for model in encoders:
        if model.fingerprint == meta.fingerprint:
            return model
    other = pick_encoder(models, name)
    meta.require_fingerprint(other.fingerprint, index)
    return other


def _encoders(models: Sequence[ModelInfo], name: str | None) -> list[ModelInfo]:
    served = [model for model in models if model.kind is ModelKind.SPARSE_ENCODER]
    encoders = [model for model in served if name is None or model.name == name]
    if not encoders:
        known = ", ".join(model.name for model in served) or "none"
        raise UnknownModel(f"The sidecar serves no such sparse encoder; it serves: {known}.", field="model")
    return encoders
