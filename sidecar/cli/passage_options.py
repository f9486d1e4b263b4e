"""Options that say how an index keeps passages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from sidecar.errors import InvalidInput

if TYPE_CHECKING:
    from sidecar.engine import PassageRule

__all__ = ["PassageLimitOption", "PassageStrideOption", "PassageWordsOption", "PassagesOption", "passage_rule"]

PassagesOption: TypeAlias = Annotated[
    bool, typer.Option("--passages", help="A vector for each passage of a document; the best one counts (MaxP).")
]
PassageWordsOption: TypeAlias = Annotated[
    int | None, typer.Option("--passage-words", help="Words of a passage. Default: 150.")
]
PassageStrideOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--passage-stride", help="Words from the beginning of a passage to that of the next. Default: half of them."
    ),
]
PassageLimitOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--passage-limit", help="Passages of a document, at most; what lies behind counts as truncated. Default: 64."
    ),
]


def passage_rule(wanted: bool, words: int | None, stride: int | None, limit: int | None) -> PassageRule | None:
    """Return the rule that the options say; None without --passages.

    Raises InvalidInput for options of passages without --passages, and for values that a rule refuses.
    """
    from sidecar.engine import PassageRule

    if not wanted:
        if (words, stride, limit) != (None, None, None):
            raise InvalidInput("Words, stride and limit are those of passages: add --passages.", field="passages")
        return None
    usual = PassageRule()
    words = usual.words if words is None else words
    return PassageRule(words, max(1, words // 2) if stride is None else stride, usual.limit if limit is None else limit)
