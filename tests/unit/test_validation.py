"""What is wrong with a value, told without pydantic's own words."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, Field, ValidationError, model_validator

from sidecar.errors import ProfileInvalid
from sidecar.search import Profile
from sidecar.validation import InvalidValue, first_invalid


class Inner(BaseModel):
    low: int = Field(default=0, ge=0)
    high: int = 1

    @model_validator(mode="after")
    def _ordered(self):
        if self.low > self.high:
            raise ValueError("low must not be above high")
        return self


class Outer(BaseModel):
    parts: list[Inner]


def problem_of(value: object) -> InvalidValue:
    with pytest.raises(ValidationError) as refused:
        Outer.model_validate(value)
    return first_invalid(refused.value)


def test_where_it_lies_and_what_it_is() -> None:
    assert problem_of({"parts": [{}, {"low": -1}]}) == InvalidValue(
        "parts.1.low", "Input should be greater than or equal to 0"
    )
    assert problem_of({"parts": [{"low": 5}]}) == InvalidValue("parts.0", "low must not be above high")
    assert problem_of("secret").where == ""


def test_the_value_is_not_told() -> None:
    problem = problem_of({"parts": "secret"})
    assert "secret" not in problem.where + problem.what


def test_only_the_first_is_told() -> None:
    assert problem_of({"parts": [{"low": -1}, {"low": -2}]}).where == "parts.0.low"


def test_our_own_rules_read_like_sentences() -> None:
    retrievers = [{"kind": "sparse"}, {"kind": "sparse"}]
    with pytest.raises(ProfileInvalid) as refused:
        Profile.parse({"name": "mine", "retrievers": retrievers})
    assert refused.value.message == "The profile is invalid at profile: each kind of retriever may be named once."
