"""Cutting a document's text into passages: nothing between two of them is lost, and what lies beyond the last is told.

Words are what white space separates. Chinese and Japanese characters count as one each; and a run of more than
WORD_CHARACTERS counts as several, so that a passage of so many words has at most that many times as many characters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sidecar.engine import Passage, PassageRule

__all__ = ["WORD_CHARACTERS", "Split", "split"]

WORD_CHARACTERS = 40

_UNSPACED = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]{{1,{WORD_CHARACTERS}}}")


@dataclass(frozen=True, slots=True)
class Split:
    """The passages of a text, in order; none for a text without words. `truncated`: words lie behind the last one."""

    passages: tuple[Passage, ...]
    truncated: bool = False


def split(text: str, rule: PassageRule) -> Split:
    """Cut a text by a rule.

    A passage begins every `rule.stride` words; all but the last have `rule.words`. A text that would be more than
    `rule.limit` passages ends with the last of them, and says so.
    """
    spans = [match.span() for match in _WORD.finditer(text)]
    if not spans:
        return Split(())
    count = 1 + max(0, -(-(len(spans) - rule.words) // rule.stride))
    passages: list[Passage] = []
    for number in range(min(count, rule.limit)):
        inside = spans[number * rule.stride : number * rule.stride + rule.words]
        start, end = inside[0][0], inside[-1][1]
        passages.append(Passage(start, text[start:end]))
    return Split(tuple(passages), truncated=count > rule.limit)
