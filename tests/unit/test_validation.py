"""What is wrong with a value, told without pydantic's own words."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sidecar.errors import ProfileInvalid
from sidecar.search import Profile
from sidecar.validation import InvalidValue, first_invalid, invalid_values


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


class Square(BaseModel):
    model_config = ConfigDict(extra="forbid")

    shape: Literal["square"] = "square"
    side: float = 1.0
    painted: bool = False


class Circle(BaseModel):
    model_config = ConfigDict(extra="forbid")

    shape: Literal["circle"] = "circle"
    radius: float


class Drawing(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=2)
    parts: tuple[Annotated[Square | Circle, Field(discriminator="shape")], ...] = Field(default=(), min_length=1)
    frame: Square | None = None
    scale: int = 1
    tool: Literal["pen", "brush"] = "pen"


def problem_of(value: object) -> InvalidValue:
    with pytest.raises(ValidationError) as refused:
        Outer.model_validate(value)
    return first_invalid(refused.value)


def test_where_it_lies_and_what_it_is() -> None:
    assert problem_of({"parts": [{}, {"low": -1}]}) == InvalidValue("parts.1.low", "must be greater than or equal to 0")
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


def problems_of(value: object) -> dict[str, str]:
    with pytest.raises(ValidationError) as refused:
        Drawing.model_validate(value)
    return {one.where: one.what for one in invalid_values(refused.value, Drawing)}


def test_unknown_keys_come_first_with_what_was_meant() -> None:
    found = problems_of(
        {"nane": "house", "scale": "large", "parts": [{"shape": "circle", "raduis": 2}], "frame": {"sied": 1}}
    )
    assert found == {
        "nane": "unknown key (did you mean `name`?)",
        "parts.0.raduis": "unknown key (did you mean `radius`?)",
        "frame.sied": "unknown key (did you mean `side`?)",
        "scale": "must be a whole number",
    }, "what is missing because its key is misspelt is not told as well"
    assert list(found)[-1] == "scale"


def test_a_key_that_resembles_none_is_told_with_those_there_are_once() -> None:
    assert problems_of({"name": "house", "frame": {"zzz": 1, "xxx": 2}}) == {
        "frame.zzz": "unknown key (known here: shape, side, painted)",
        "frame.xxx": "unknown key",
    }


@pytest.mark.parametrize(
    ("part", "where", "what"),
    [
        ({"name": "x"}, "name", "must have at least 2 characters"),
        ({"parts": []}, "parts", "must have at least 1 item"),
        ({"parts": "secret"}, "parts", "must be a list"),
        ({"parts": [{}]}, "parts.0", "`shape` is required, but missing"),
        ({"parts": [{"shape": "secret"}]}, "parts.0", "`shape` must be one of 'square', 'circle'"),
        ({"parts": [{"shape": "circle"}]}, "parts.0.radius", "required, but missing"),
        ({"frame": "secret"}, "frame", "must be a mapping: keys with values"),
        ({"frame": {"side": "secret"}}, "frame.side", "must be a number"),
        ({"frame": {"painted": "secret"}}, "frame.painted", "must be true or false"),
        ({"scale": 1.5}, "scale", "must be a whole number"),
        ({"tool": "secret"}, "tool", "must be 'pen' or 'brush'"),
        ({"name": 7}, "name", "must be a string"),
        ({7: 7}, "7", "keys must be strings"),
    ],
)
def test_the_commonest_mistakes_have_words_of_their_own(part: dict[str, object], where: str, what: str) -> None:
    assert problems_of({"name": "house", **part}) == {where: what}


def test_without_the_model_the_places_are_those_of_pydantic() -> None:
    with pytest.raises(ValidationError) as refused:
        Drawing.model_validate({"name": "house", "parts": [{"shape": "circle", "raduis": 2}], "scale": None})
    assert first_invalid(refused.value) == InvalidValue("parts.0.circle.raduis", "unknown key")
    assert len(invalid_values(refused.value)) == 3
