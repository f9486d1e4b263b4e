"""Which query texts, pages and filters are refused before anything is asked."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import islice

from sidecar.domain import JsonObject
from sidecar.errors import EmptyText, InvalidInput, MalformedText, TextTooLarge

__all__ = [
    "MAX_QUERY_BYTES",
    "MAX_RESULT_WINDOW",
    "MAX_WORDS",
    "check_body",
    "check_index",
    "check_page",
    "check_query",
    "check_timeout",
    "checked_clauses",
    "few_words",
    "well_formed",
    "words_in",
]

MAX_QUERY_BYTES = 32_768
"""A longer query is a document."""

MAX_WORDS = 1_000
"""The cluster makes a clause of each word, and refuses a query of more than 1,024 clauses."""

_APART = (
    r"\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u303b\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
    r"\U0001aff0-\U0001b16f\U00020000-\U0003ffff"
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    r"\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
)
"""Characters that may be a word each: Chinese, Japanese and Korean ones, those of South-East Asia, emoji."""

_WORD = re.compile(rf"[{_APART}]|[^\W_{_APART}]{{1,255}}")
"""What a cluster's analyzer may make a word of: a run of letters and digits, which is cut where it is very long, and
where no spaces stand between words every character. Rather too many than too few."""

MAX_RESULT_WINDOW = 10_000
"""`index.max_result_window` of a cluster that was left alone."""


def check_query(text: object) -> None:
    """Raise EmptyText, MalformedText or TextTooLarge, InvalidInput for what is no text at all, or return."""
    if not isinstance(text, str):
        raise InvalidInput(f"The query must be a string, not {_kind(text)}.", field="text")
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
    """Return a text of at most `limit` words for the cluster to match: as it is, or the first distinct parts of it.

    A part is what stands between spaces, and stays as it came: how it falls into words is the analyzer's to say.
    """
    if len(text) <= limit or words_in(text) <= limit:
        return text
    kept: dict[str, str] = {}
    for part in text.split():
        if part.lower() in kept:
            continue
        words = list(islice(_WORD.finditer(part), limit + 1))
        if len(words) > limit:
            kept[part.lower()] = part[: words[limit].start()]
            break
        if words:
            kept[part.lower()] = part
            limit -= len(words)
        if not limit:
            break
    return " ".join(kept.values())


def words_in(text: str) -> int:
    """Return how many words a text has, as `few_words` counts them: with every repetition."""
    return len(_WORD.findall(text))


def well_formed(text: str) -> str:
    """Return the text with a question mark for each lone surrogate: JSON allows them, UTF-8 has no form of them."""
    return text.encode("utf-8", "replace").decode("utf-8")


def check_page(size: object, from_: object) -> None:
    """Raise InvalidInput where the cluster would refuse the page, and where it is not one of whole numbers."""
    if not isinstance(size, int) or isinstance(size, bool):
        raise InvalidInput(f"size must be a whole number, not {_kind(size)}.", field="size")
    if not isinstance(from_, int) or isinstance(from_, bool):
        raise InvalidInput(f"from_ must be a whole number, not {_kind(from_)}.", field="from_")
    if size < 1:
        raise InvalidInput("size must be >= 1.", field="size")
    if from_ < 0:
        raise InvalidInput("from_ must be >= 0.", field="from_")
    if from_ + size > MAX_RESULT_WINDOW:
        raise InvalidInput(f"from_ + size must be <= {MAX_RESULT_WINDOW:,}.", field="from_")


def check_index(index: object) -> None:
    """Raise InvalidInput for an empty name, which the cluster would take for all indices, and for none at all."""
    if not isinstance(index, str) or not index.strip():
        raise InvalidInput("The index is empty: name an index or an alias.", field="index")


def check_timeout(timeout: object) -> None:
    """Raise InvalidInput where the seconds of a search are no number; none left is a search that is late at once."""
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or math.isnan(timeout):
        raise InvalidInput("timeout must be a number of seconds.", field="timeout")


def checked_clauses(given: object) -> tuple[JsonObject, ...]:
    """Return the clauses of a search's filter, one or several; raise InvalidInput for what are none."""
    if given is None:
        return ()
    several: Sequence[object] = given if isinstance(given, Sequence) and not isinstance(given, str) else (given,)
    clauses = tuple(one for one in several if isinstance(one, Mapping))
    if len(clauses) < len(several):
        raise InvalidInput("The filter must be a query clause (an object), or several of them.", field="filter")
    return clauses


def check_body(body: object, text: object) -> None:
    """Raise InvalidInput where an application's own body is no object, or the text that it means no text."""
    if not isinstance(body, Mapping):
        raise InvalidInput(f"The body must be an object, not {_kind(body)}.", field="body")
    if text is not None and not isinstance(text, str):
        raise InvalidInput(f"The body's text must be a string, not {_kind(text)}.", field="text")


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__
