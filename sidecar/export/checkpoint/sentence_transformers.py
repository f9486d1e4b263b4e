"""What sentence-transformers keeps beside a model: score activation, prompts before texts, how vectors compare."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sidecar.errors import UnsupportedCheckpoint
from sidecar.export.checkpoint.files import read_object

__all__ = ["active_terms", "read_model_config", "refuse_prompts", "require_dot_product"]

FILE = "config_sentence_transformers.json"

SIDES = ("query", "document", "passage", "corpus")
"""Names of prompts that encode_query and encode_document take without being asked."""


def read_model_config(folder: Path) -> Mapping[str, object]:
    """Return config_sentence_transformers.json, empty where there is none; UnsupportedCheckpoint for no JSON object."""
    path = folder / FILE
    return read_object(path) if path.is_file() else {}


def refuse_prompts(folder: Path, config: Mapping[str, object], *, by_side: bool) -> None:
    """Raise UnsupportedCheckpoint where texts get words put before them, which no bundle does.

    `by_side`: queries and documents have prompts of their own (sparse encoders); a default prompt counts anyway.
    """
    prompts = config.get("prompts")
    if not isinstance(prompts, dict):
        return
    used = (config.get("default_prompt_name"), *(SIDES if by_side else ()))
    found = next((name for name in used if isinstance(name, str) and prompts.get(name)), None)
    if found is not None:
        raise UnsupportedCheckpoint(
            f"{folder / FILE} puts a prompt ({found}) before texts, and a bundle does not: its vectors or scores would "
            "be others. Take the prompt out of that file, and put it before your texts yourself."
        )


def require_dot_product(folder: Path, config: Mapping[str, object]) -> None:
    """Raise UnsupportedCheckpoint where a SparseEncoder's vectors are compared by anything but their dot product."""
    named = config.get("similarity_fn_name")
    if named not in (None, "dot"):
        raise UnsupportedCheckpoint(
            f"{folder / FILE} compares vectors by {named}, and an index scores by the dot product: documents would come"
            " in another order. If the model was trained for the dot product, say so there: similarity_fn_name dot."
        )


def active_terms(folder: Path, config: Mapping[str, object]) -> int | None:
    """Return how many terms a SparseEncoder keeps of every vector, the heaviest; None: all of them."""
    kept = config.get("max_active_dims")
    if kept is None:
        return None
    if isinstance(kept, bool) or not isinstance(kept, int) or kept < 1:
        raise UnsupportedCheckpoint(f"{folder / FILE} has no whole number above 0 under max_active_dims.")
    return kept
