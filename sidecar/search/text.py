"""Which query texts are refused before anything is asked."""

from __future__ import annotations

import re

from sidecar.errors import EmptyText, InvalidInput, MalformedText, TextTooLarge

__all__ = ["MAX_QUERY_BYTES", "MAX_RESULT_WINDOW", "MAX_WORDS", "check_page", "check_query", "few_words"]

MAX_QUERY_BYTES = 32_768
"""A longer query is a document."""

MAX_WORDS = 1_000
"""The cluster makes a clause of each word, and refuses a query of more than 1,024 clauses."""

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+")
"""A run of letters and digits; where no spaces stand between words, every character counts."""

MAX_RESULT_WINDOW = 10_000
"""`index.max_result_window` of a cluster that was left alone."""


def check_query(text: str) -> None:
    """Raise EmptyText, MalformedText or TextTooLarge, or return."""
    if not text.strip():
        raise EmptyText("The query has no character but white space.", field="text")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise MalformedText("The query holds a lone surrogate: it is no valid Unicode.", field="text") from None
    if size > MAX_QUERY_BYTES:
        raise TextTooLarge(
            f"The query has {size:,} bytes; at most {MAX_QUERY_BYTES:,} are searched for. Cut it.", field="text"
        )


def few_words(text: str, limit: int = MAX_WORDS) -> str:
    """Return a text of at most `limit` words for the cluster to match: as it is, or the first distinct ones of it."""
    words = _WORD.findall(text)
    return text if len(words) <= limit else " ".join(list(dict.fromkeys(word.lower() for word in words))[:limit])


def check_page(size: int, from_: int) -> None:
    """Raise InvalidInput where the cluster would refuse the page."""
    if size < 1:
        raise InvalidInput("size must be >= 1.", field="size")
    if from_ < 0:
        raise InvalidInput("from_ must be >= 0.", field="from_")
    if from_ + size > MAX_RESULT_WINDOW:
        raise InvalidInput(f"from_ + size must be <= {MAX_RESULT_WINDOW:,}.", field="from_")
