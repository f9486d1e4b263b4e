"""Which query texts are refused before anything is asked."""

from __future__ import annotations

from sidecar.errors import EmptyText, InvalidInput, MalformedText, TextTooLarge

__all__ = ["MAX_QUERY_BYTES", "MAX_RESULT_WINDOW", "check_page", "check_query"]

MAX_QUERY_BYTES = 32_768
"""A longer query has more words than the cluster's clause limit (1,024) lets through."""

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


def check_page(size: int, from_: int) -> None:
    """Raise InvalidInput where the cluster would refuse the page."""
    if size < 1:
        raise InvalidInput("size must be >= 1.", field="size")
    if from_ < 0:
        raise InvalidInput("from_ must be >= 0.", field="from_")
    if from_ + size > MAX_RESULT_WINDOW:
        raise InvalidInput(f"from_ + size must be <= {MAX_RESULT_WINDOW:,}.", field="from_")
