"""A checkpoint's tokenizer, ready to be configured by whoever loads the bundle."""

from __future__ import annotations

from pathlib import Path

import orjson
from tokenizers import Tokenizer, normalizers

from sidecar.errors import UnsupportedCheckpoint
from sidecar.export.checkpoint.files import read_object

__all__ = ["model_max_length", "read_tokenizer"]

_SENTENCE_BERT = "sentence_bert_config.json"
_FILES = ("vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model")


def read_tokenizer(folder: Path) -> Tokenizer:
    """Read tokenizer.json, or let transformers build it from the older vocabulary files.

    Truncation and padding stored in the file are taken off: they would cut texts behind the sidecar's back. Texts are
    lowercased first where sentence-transformers was told to (`do_lower_case`) and the tokenizer does not do it itself.
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
    declared = folder / _SENTENCE_BERT
    if declared.is_file() and read_object(declared).get("do_lower_case") is True and not _lowercases(tokenizer):
        own = [] if tokenizer.normalizer is None else [tokenizer.normalizer]
        tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])
    return tokenizer


def model_max_length(folder: Path) -> int | None:
    """Return the longest text in tokens, special ones included, by the tokenizer's or sentence-transformers' word."""
    found = []
    for name, key in ((_SENTENCE_BERT, "max_seq_length"), ("tokenizer_config.json", "model_max_length")):
        path = folder / name
        if path.is_file():
            value = read_object(path).get(key)
            # transformers writes 1e30 where it does not know.
            if isinstance(value, int) and 3 <= value <= 1_000_000:
                found.append(value)
    return min(found, default=None)


def _lowercases(tokenizer: Tokenizer) -> bool:
    normalizer = orjson.loads(tokenizer.to_str())["normalizer"] or {}
    parts = normalizer.get("normalizers", [normalizer])
    return any(part.get("type") == "Lowercase" or part.get("lowercase") is True for part in parts)


def _converted(folder: Path) -> Tokenizer:
    from transformers import AutoTokenizer

    wrapper = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    backend = getattr(wrapper, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise UnsupportedCheckpoint(f"The tokenizer in {folder} ({type(wrapper).__name__}) has no tokenizer.json form.")
    return Tokenizer.from_str(backend.to_str())
