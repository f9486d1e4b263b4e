"""Laws of the pieces that need no server: problems, validation errors, features for Lucene."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import SparseVector
from sidecar.errors import WIRE, EmptyText, Overloaded, SidecarError
from sidecar.server.http.dialects import elasticsearch, ml_commons, tei, weaviate
from sidecar.server.http.dialects.common import MAX_QUERY_TERMS, MAX_QUERY_WEIGHT, as_features
from sidecar.server.http.problems import Problem, invalid_request, problem_json, problem_of

WEIGHTS = st.lists(st.floats(min_value=1e-45, max_value=1e30), max_size=40).map(
    lambda w: tuple(sorted(w, reverse=True))
)


def _vector(weights: tuple[float, ...]) -> SparseVector:
    return SparseVector(tuple(range(len(weights))), weights)


@given(WEIGHTS, st.booleans())
def test_features_are_what_lucene_accepts(weights: tuple[float, ...], for_query: bool) -> None:
    features = as_features(_vector(weights), for_query=for_query)
    assert all(weight >= 1.17549435e-38 for _, weight in features)
    assert [position for position, _ in features] == list(range(len(features)))
    if for_query:
        assert all(weight <= MAX_QUERY_WEIGHT for _, weight in features)


@given(WEIGHTS.filter(bool))
def test_scaling_keeps_the_ratios(weights: tuple[float, ...]) -> None:
    features = as_features(_vector(weights), for_query=True)
    if weights[0] <= MAX_QUERY_WEIGHT:
        assert features == [(i, weight) for i, weight in enumerate(weights) if weight >= 1.17549435e-38]
    for position, weight in features:
        assert weight * weights[0] == pytest.approx(weights[position] * features[0][1], rel=1e-6)


@given(WEIGHTS)
def test_documents_weights_are_not_touched(weights: tuple[float, ...]) -> None:
    features = as_features(_vector(weights), for_query=False)
    assert features == [(i, weight) for i, weight in enumerate(weights) if weight >= 1.17549435e-38]


def test_a_query_keeps_its_heaviest_terms() -> None:
    weights = tuple(float(number) for number in range(3_000, 0, -1))
    features = as_features(_vector(weights), for_query=True)
    assert len(features) == MAX_QUERY_TERMS
    assert features[0] == (0, MAX_QUERY_WEIGHT)
    assert features[-1][0] == MAX_QUERY_TERMS - 1
    assert len(as_features(_vector(weights), for_query=False)) == 3_000


RENDERERS = {
    "native": problem_json,
    "tei": tei.render_error,
    "ml-commons": ml_commons.render_error,
    "elasticsearch": elasticsearch.render_error,
    "weaviate": weaviate.render_error,
}


@pytest.mark.parametrize("name", RENDERERS)
@pytest.mark.parametrize("kind", WIRE)
def test_every_error_can_be_said_in_every_dialect(name: str, kind: type[SidecarError]) -> None:
    response = RENDERERS[name](problem_of(kind("What to do next.", field="texts[3]")))
    content = orjson.loads(bytes(response.body))
    assert 400 <= response.status_code < 600
    assert "What to do next." in str(content)
    if name != "tei":
        assert response.status_code == WIRE[kind].http_status
    if response.status_code in (429, 503):
        assert int(response.headers["retry-after"]) >= 1
    if response.status_code == 401:
        assert response.headers["www-authenticate"] == "Bearer"


def test_a_problem_has_the_members_of_rfc_9457() -> None:
    response = problem_json(problem_of(EmptyText("Say something.", field="texts[3]")))
    assert response.media_type == "application/problem+json"
    assert orjson.loads(bytes(response.body)) == {
        "type": "urn:splade-sidecar:problem:empty-text",
        "title": "Empty text",
        "status": 422,
        "detail": "Say something.",
        "reason": "EMPTY_TEXT",
        "field": "texts[3]",
    }


@pytest.mark.parametrize(("seconds", "header"), [(0.05, "1"), (1.0, "1"), (1.01, "2"), (59.2, "60"), (None, "1")])
def test_retry_after_is_whole_seconds_rounded_up(seconds: float | None, header: str) -> None:
    assert problem_of(Overloaded("Full.", retry_after=seconds)).headers["retry-after"] == header


def test_no_retry_is_promised_where_it_would_not_help() -> None:
    assert problem_of(EmptyText("Empty.")).headers == {}


@pytest.mark.parametrize(
    "error", [RuntimeError("secret"), KeyError("secret"), UnicodeEncodeError("utf-8", "s", 0, 1, "x")]
)
def test_what_is_not_ours_to_say_is_kept_back(error: Exception) -> None:
    problem = problem_of(error)
    assert (problem.status, problem.reason) == (500, "INTERNAL")
    assert "secret" not in problem.detail
    assert isinstance(problem, Problem)


@pytest.mark.parametrize(
    ("location", "field"),
    [
        (("body", "texts", 3), "texts[3]"),
        (("body", "pruning", "type"), "pruning.type"),
        (("body", "inputs", "list[str]", 2), "inputs[2]"),
        (("body", "documents", 0, "DocumentBody", "text"), "documents[0].text"),
        (("body", "Words of the user"), None),
        (("body", "x" * 41), None),
        (("query", "side"), "side"),
        (("body",), None),
    ],
)
def test_places_are_named_in_our_words(location: tuple[str | int, ...], field: str | None) -> None:
    error = invalid_request([{"type": "string_type", "loc": location, "msg": "Input should be a valid string"}])
    assert error.field == field
    assert error.message == "Must be a string."


def test_of_a_unions_errors_the_deepest_is_told() -> None:
    error = invalid_request(
        [
            {"type": "string_type", "loc": ("body", "texts", "str"), "msg": "no string"},
            {"type": "string_type", "loc": ("body", "texts", "list[str]", 5), "msg": "no string"},
        ]
    )
    assert error.field == "texts[5]"
