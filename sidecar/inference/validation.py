"""Refusing texts that can't be encoded, before any work is done. Messages name the position, never the text."""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.errors import EmptyText, MalformedText, TextTooLarge, TooManyTexts
from sidecar.settings import Settings

__all__ = ["check_text", "check_texts"]


def check_texts(texts: Sequence[str], settings: Settings, *, field: str = "texts") -> int:
    """Check every text of a call and return their UTF-8 bytes.

    Raises TooManyTexts, EmptyText, MalformedText, TextTooLarge; `field` names the list in the request.
    """
    if len(texts) > settings.max_texts:
        raise TooManyTexts(
            f"The call has {len(texts):,} texts; at most {settings.max_texts:,} are accepted. Split it.", field=field
        )
    return sum(check_text(text, settings, field=f"{field}[{position}]") for position, text in enumerate(texts))


def check_text(text: str, settings: Settings, *, field: str) -> int:
    """Check one text and return its UTF-8 bytes; see `check_texts`."""
    if not text or text.isspace():
        raise EmptyText(f"{field} is empty or only white space.", field=field)
    try:
        size = len(text) if text.isascii() else len(text.encode("utf-8"))
    except UnicodeEncodeError:
        raise MalformedText(f"{field} is no valid Unicode: it has a lone surrogate.", field=field) from None
    if size > settings.max_text_bytes:
        raise TextTooLarge(
            f"{field} has {size:,} bytes of UTF-8; at most {settings.max_text_bytes:,} are accepted.", field=field
        )
    return size
