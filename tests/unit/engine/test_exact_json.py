"""No number is another one after it was read and written."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import dataclass
from decimal import Decimal

import orjson
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from sidecar.engine.exact_json import ExactFloat, exact_number, read_json, to_json
from sidecar.errors import InvalidInput, MalformedText
from sidecar.server.http.answers import json_response
from tests.unit.cluster.recorded import Recorded, recorded

WHOLE = 12_345_678_901_234_567_890_123
LONG = "0.1234567890123456789"

fractions = st.builds(
    "{}{}.{}{}".format,
    st.sampled_from(["", "-"]),
    st.integers(0, 10**25),
    st.from_regex(r"[0-9]{1,25}", fullmatch=True),
    st.one_of(st.just(""), st.builds("{}{}".format, st.sampled_from(["e", "E", "e+", "e-"]), st.integers(0, 200))),
)


def as_decimals(data: bytes) -> object:
    return json.loads(data, parse_float=Decimal, parse_int=Decimal)


@given(fractions)
def test_a_fraction_keeps_its_value_however_many_digits_it_has(text: str) -> None:
    data = f'{{"a": [{text}]}}'.encode()
    assert as_decimals(to_json(read_json(data))) == as_decimals(data)


@pytest.mark.parametrize(("depth", "read"), [(100, True), (1_000, False), (2_000, False)])
def test_what_lies_too_deep_is_no_json_however_it_is_read(depth: int, read: bool) -> None:
    data = b"[" * depth + LONG.encode() + b"]" * depth
    if read:
        assert to_json(read_json(data)) == data
    else:
        with pytest.raises(orjson.JSONDecodeError):
            read_json(data)


@given(st.integers(-(10**60), 10**60))
def test_so_does_a_whole_number(number: int) -> None:
    data = f'[{{"a": {number}}}]'.encode()
    assert to_json(read_json(data)) == to_json([{"a": number}]) == data.replace(b" ", b"")


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_what_is_written_is_read_as_the_same_value(value: object) -> None:
    assert read_json(to_json(value)) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_what_a_double_holds_is_a_plain_float(number: float) -> None:
    found = exact_number(repr(number))
    assert type(found) is float
    assert found == number


@pytest.mark.parametrize(
    "text",
    [LONG, "1e400", "-1e400", "1e-400", "4.9406564584124655e-324", "1234567890123456789.5", "9007199254740993.0"],
)
def test_what_no_double_holds_is_written_as_it_was_read(text: str) -> None:
    found = exact_number(text)
    assert type(found) is ExactFloat
    assert float(found) == float(text)
    assert to_json({"a": found}) == f'{{"a":{text}}}'.encode()
    assert found == ExactFloat(text)
    assert found != float(text)
    assert {found: 1}[ExactFloat(text)] == 1
    for twin in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
        assert (twin, twin.text) == (found, text)


@pytest.mark.parametrize(
    "text", ["0.10", "1.50000000000000000000", "0.0", "-0.0", "0e500", "0.000000000000000000", "1E5"]
)
def test_zeros_at_the_end_are_no_digits(text: str) -> None:
    assert type(exact_number(text)) is float


def test_a_document_with_both_kinds_deep_inside() -> None:
    data = f'{{"a": {{"b": [{WHOLE}, {LONG}, "x", true, null, -{WHOLE}]}}, "c": 1.5}}'.encode()
    found = read_json(data)
    assert found == {"a": {"b": [WHOLE, ExactFloat(LONG), "x", True, None, -WHOLE]}, "c": 1.5}
    assert to_json(found) == data.replace(b" ", b"")


def test_digits_in_a_text_are_left_alone() -> None:
    data = orjson.dumps({"isbn": "12345678901234567890123", "hash": "a1e400", "text": "\u00e4 1e-999 \u2028"})
    assert read_json(data) == orjson.loads(data)


@pytest.mark.parametrize(
    "data", [b"{", b"[NaN]", b"[1e400]", b'["\\ud800 12345678901234567890"]', b"\xff12345678901234567890"]
)
def test_what_is_no_json_is_none_whatever_digits_it_has(data: bytes) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        read_json(data)


def test_lone_surrogates_are_refused_before_they_travel() -> None:
    for value in ("a\ud800b", ["a\ud800b", WHOLE]):
        with pytest.raises(MalformedText):
            to_json({"text": value})


def test_what_json_has_no_form_for_is_refused() -> None:
    for value in (object(), [object(), WHOLE], 10**5_000, Decimal(1)):
        with pytest.raises(InvalidInput):
            to_json({"value": value})


@dataclass(frozen=True, slots=True)
class Hit:
    """As answers of the sidecar's own have them."""

    source: dict[str, object]
    more: tuple[object, ...] = ()


@pytest.mark.parametrize("indent", [False, True])
def test_what_is_shown_of_a_document_has_its_digits(indent: bool) -> None:
    source = read_json(f'{{"whole": {WHOLE}, "long": {LONG}, "text": "ä"}}'.encode())
    told = to_json({"hits": [Hit(source, (WHOLE, None, True))]}, indent=indent)  # type: ignore[arg-type]
    plain = told.decode().replace(" ", "").replace("\n", "")
    assert plain == f'{{"hits":[{{"source":{{"whole":{WHOLE},"long":{LONG},"text":"ä"}},"more":[{WHOLE},null,true]}}]}}'
    assert (b"\n" in told) is indent


def test_an_answer_with_a_number_beyond_every_double_is_still_json() -> None:
    answer = json_response({"hits": [Hit({"huge": ExactFloat("1e400")})]})
    assert answer.body == b'{"hits":[{"source":{"huge":1e400},"more":[]}]}'


class Long(Recorded):
    """Answers with numbers that aiohttp's own JSON would round."""

    async def handle(self, request: web.Request) -> web.Response:
        if request.path == "/shop/_doc/1":
            text = f'{{"found": true, "_source": {{"whole": {WHOLE}, "long": {LONG}, "huge": 1e400, "plain": 0.5}}}}'
            return web.Response(text=text, content_type="application/json")
        return await super().handle(request)


async def test_answers_of_a_cluster_have_every_digit() -> None:
    async with recorded({}, Long) as (engine, _):
        found = await engine.get("shop", "1")
    assert found == {"whole": WHOLE, "long": ExactFloat(LONG), "huge": ExactFloat("1e400"), "plain": 0.5}
    assert to_json(found) == f'{{"whole":{WHOLE},"long":{LONG},"huge":1e400,"plain":0.5}}'.encode()
