"""What sentence-transformers keeps beside a model: the activation of its score, and the prompts before its texts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sidecar.errors import UnsupportedCheckpoint
from sidecar.export.checkpoint.files import read_object

__all__ = ["read_model_config", "refuse_prompts"]

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
