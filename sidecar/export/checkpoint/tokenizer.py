"""A checkpoint's tokenizer, ready to be configured by whoever loads the bundle."""

from __future__ import annotations

from pathlib import Path

import orjson
from tokenizers import Tokenizer

from sidecar.errors import UnsupportedCheckpoint

__all__ = ["model_max_length", "read_tokenizer"]

_FILES = ("vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model")


def read_tokenizer(folder: Path) -> Tokenizer:
    """Read tokenizer.json, or let transformers build it from the older vocabulary files.

    Truncation and padding stored in the file are taken off: they would cut texts behind the sidecar's back.
    """
    path = folder / "tokenizer.json"
    if path.is_file():
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise UnsupportedCheckpoint(f"{path} is no readable tokenizer: {error}.") from None
    elif any((folder / name).is_file() for name in _FILES):
        tokenizer = _converted(folder)
    else:
        raise UnsupportedCheckpoint(f"{folder} has no tokenizer: tokenizer.json or vocab.txt is needed.")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def model_max_length(folder: Path) -> int | None:
    """Return the longest text in tokens, special ones included, by the tokenizer's or sentence-transformers' word."""
    found = []
    for name, key in (("sentence_bert_config.json", "max_seq_length"), ("tokenizer_config.json", "model_max_length")):
        path = folder / name
        if path.is_file():
            value = orjson.loads(path.read_bytes()).get(key)
            # transformers writes 1e30 where it does not know.
            if isinstance(value, int) and 3 <= value <= 1_000_000:
                found.append(value)
    return min(found, default=None)


def _converted(folder: Path) -> Tokenizer:
    from transformers import AutoTokenizer

    wrapper = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    backend = getattr(wrapper, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise UnsupportedCheckpoint(f"The tokenizer in {folder} ({type(wrapper).__name__}) has no tokenizer.json form.")
    return Tokenizer.from_str(backend.to_str())
