"""The cluster's own full-text search, in one field or in several with boosts, as it stands in a profile.

{kind: lexical, weight: 0.4}
{kind: lexical, fields: [title^3, text], type: best_fields, tie_breaker: 0.3, minimum_should_match: "2<75%"}

Keys and their values are those of the cluster's `multi_match`. Whatever is asked for, the query keeps within the
clauses that it is given: a cluster makes one of each word in each field, and with `fuzziness` one of each spelling.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from sidecar.domain import JsonObject, JsonValue
from sidecar.search.text import MAX_WORDS, few_words, words_in
from sidecar.search.weight import LARGEST_WEIGHT, Weight

__all__ = ["MAX_FIELDS", "Lexical", "MatchType"]

MAX_FIELDS = 16
"""Fields that one word is looked up in: as many as words have clauses at least, beside a vector that takes most."""

MAX_SPELLINGS = 50
"""Words of the index that a cluster takes for one that is not spelt exactly, unless it is told otherwise."""

MAX_EDITS = 2

_FIELD = re.compile(r"[^\s*,^#]+(?:\^(?P<boost>[0-9]{1,4}(?:\.[0-9]{1,9})?|\.[0-9]{1,9}))?")
_NUMBER = "[0-9]{1,4}"
_CLAUSES = f"-?(?:{_NUMBER}|100%|[0-9]{{1,2}}%)"
_MINIMUM = re.compile(f"{_CLAUSES}|{_NUMBER}<{_CLAUSES}(?: +{_NUMBER}<{_CLAUSES})*")
_FUZZINESS = re.compile(f"[0-{MAX_EDITS}]|AUTO(?::(?P<low>{_NUMBER}),(?P<high>{_NUMBER}))?")


class MatchType(StrEnum):
    """How the scores of several fields become one; see the cluster's `multi_match`.

    `best_fields`: the best field's. `most_fields`: their sum. `cross_fields`: word by word, as if all were one field.
    `phrase`: the best field's that has all words side by side.
    """

    BEST_FIELDS = "best_fields"
    MOST_FIELDS = "most_fields"
    CROSS_FIELDS = "cross_fields"
    PHRASE = "phrase"


def _field(value: str) -> str:
    found = _FIELD.fullmatch(value)
    if found is None:
        raise ValueError("must be a field's name, or name^boost, without wildcards")
    if found["boost"] is not None and not 0.0 < float(found["boost"]) <= LARGEST_WEIGHT:
        raise ValueError(f"a boost must be greater than 0 and at most {LARGEST_WEIGHT:g}")
    return value


def _as_text(value: object) -> object:
    # In YAML a plain 2 is a number.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _minimum(value: str) -> str:
    if _MINIMUM.fullmatch(value) is None:
        raise ValueError('must be a number of words (2, -1), a percentage (75%, -25%), or by length: "2<75% 9<-3"')
    return value


def _fuzziness(value: str) -> str:
    found = _FUZZINESS.fullmatch(value)
    if found is None or int(found["low"] or 0) > int(found["high"] or 0):
        raise ValueError(f"must be AUTO, AUTO:low,high, or 0 to {MAX_EDITS} edits")
    return value


BoostedField: TypeAlias = Annotated[str, AfterValidator(_field)]
MinimumShouldMatch: TypeAlias = Annotated[str, BeforeValidator(_as_text), AfterValidator(_minimum)]
Fuzziness: TypeAlias = Annotated[str, BeforeValidator(_as_text), AfterValidator(_fuzziness)]


class Lexical(BaseModel):
    """The cluster's own full-text search: `match` on the index's combined text field, or `multi_match` on `fields`.

    Frozen; unknown keys are refused, and so are those that a cluster refuses together or reads one of only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["lexical"] = "lexical"
    weight: Weight = 1.0
    fields: tuple[BoostedField, ...] = Field(
        default=(), max_length=MAX_FIELDS, description="`name` or `name^boost`; none: the index's combined text field."
    )
    type: MatchType = Field(default=MatchType.BEST_FIELDS, description="How the fields' scores become one.")
    tie_breaker: float | None = Field(
        default=None,
        ge=0.0,
        le=1.0,
        allow_inf_nan=False,
        description="Share of the other fields' scores that is added to the best one's; none: as `type` has it.",
    )
    operator: Literal["or", "and"] = Field(default="or", description="Whether one word is enough, or all must match.")
    minimum_should_match: MinimumShouldMatch | None = Field(
        default=None, description="How many words must match at least."
    )
    fuzziness: Fuzziness | None = Field(
        default=None, description="Edits by which a word may differ from a document's; none: no edit."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = self.field_names
        if len(set(names)) < len(names):
            raise ValueError("each of the fields may be named once")
        if not self.fields and (self.type is not MatchType.BEST_FIELDS or self.tie_breaker is not None):
            raise ValueError("type and tie_breaker say how several fields are searched: name them in `fields`")
        if self.operator == "and" and self.minimum_should_match is not None:
            raise ValueError("with operator: and all words must match: leave minimum_should_match out")
        if self.type is MatchType.PHRASE and (self.operator == "and" or self.minimum_should_match is not None):
            raise ValueError("a phrase has all its words: leave operator and minimum_should_match out")
        if self.fuzziness is not None and self.type in (MatchType.PHRASE, MatchType.CROSS_FIELDS):
            raise ValueError(f"clusters know no fuzziness with type: {self.type}")
        return self

    @property
    def field_names(self) -> tuple[str, ...]:
        """The names of `fields`, without their boosts."""
        return tuple(field.partition("^")[0] for field in self.fields)

    def query(self, text: str, combined: str, *, boost: float = 1.0, clauses: int = MAX_WORDS) -> JsonObject:
        """Return the query for `text`; `combined` is the index's field that is searched where no others are named.

        A text of more words than fit into `clauses` goes without its last ones, except for a phrase, which is one
        clause however long it is. Of more spellings than fit, the nearest are looked up.
        """
        words = text if self.type is MatchType.PHRASE else few_words(text, max(1, clauses // self._fields))
        clause: dict[str, JsonValue] = {"query": words}
        if self.fields:
            clause |= {"fields": list(self.fields), "type": self.type.value}
        if self.tie_breaker is not None:
            clause["tie_breaker"] = self.tie_breaker
        if self.operator != "or":
            clause["operator"] = self.operator
        if self.minimum_should_match is not None:
            clause["minimum_should_match"] = self.minimum_should_match
        if self.fuzziness is not None:
            clause |= {"fuzziness": self.fuzziness, "max_expansions": self._spellings(words, clauses)}
        if boost != 1.0:
            clause["boost"] = boost
        return {"multi_match": clause} if self.fields else {"match": {combined: clause}}

    def clauses(self, text: str) -> int:
        """Return how many clauses the query for `text` has at most, where it is given as many as there are."""
        spellings = 1 if self.fuzziness is None else MAX_SPELLINGS
        return min(MAX_WORDS, len(text) * self._fields * spellings)

    @property
    def _fields(self) -> int:
        """How many fields a word is looked up in."""
        return max(1, len(self.fields))

    def _spellings(self, words: str, clauses: int) -> int:
        return max(1, min(MAX_SPELLINGS, clauses // (self._fields * max(1, words_in(words)))))
