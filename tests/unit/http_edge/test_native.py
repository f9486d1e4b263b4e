"""The native routes against the service they translate for."""

from __future__ import annotations

import asyncio
import math

import httpx
import orjson
import pytest

from sidecar.domain import Pruning, PruningType, Side, WindowPolicy, Windows
from sidecar.inference import InferenceService
from sidecar.server.http.schemas import EncodeAnswer, ModelAnswer, ModelsAnswer

TEXTS = ["the weather in new york", "a cat sat by the river", "query parser"]


def _encode(http: httpx.Client, **body: object) -> EncodeAnswer:
    response = http.post("/v1/encode", json=body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return EncodeAnswer.model_validate_json(response.content)


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("model", [None, "tiny-sparse", "tiny-idf"])
def test_encode_gives_what_the_service_gives(
    http: httpx.Client, service: InferenceService, side: Side, model: str | None
) -> None:
    body: dict[str, object] = {"texts": TEXTS, "side": side}
    answer = _encode(http, **(body if model is None else {**body, "model": model}))
    expected = asyncio.run(service.encode(TEXTS, side=side, model=model))
    assert (answer.model, answer.fingerprint) == (expected.model, expected.fingerprint)
    assert len(answer.encodings) == len(TEXTS)
    for mine, theirs in zip(answer.encodings, expected.encodings, strict=True):
        assert tuple(mine.vector.term_ids) == theirs.vector.term_ids
        assert mine.vector.weights == pytest.approx(theirs.vector.weights, rel=1e-5)
        assert mine.vector.terms == []
        assert (mine.truncated, mine.windows, mine.tokens) == (theirs.truncated, theirs.windows, theirs.tokens)


def test_the_answer_has_exactly_these_keys(http: httpx.Client) -> None:
    answer = http.post("/v1/encode", json={"texts": ["cat"], "return_terms": True}).json()
    assert list(answer) == ["encodings", "model", "fingerprint", "timings"]
    assert list(answer["encodings"][0]) == ["vector", "truncated", "windows", "tokens", "repetition"]
    assert list(answer["encodings"][0]["vector"]) == ["term_ids", "weights", "terms"]
    assert list(answer["timings"]) == ["tokenize_us", "queue_us", "inference_us", "total_us"]


def test_weights_descend_and_are_finite_and_positive(http: httpx.Client) -> None:
    for encoding in _encode(http, texts=TEXTS).encodings:
        weights = encoding.vector.weights
        assert weights == sorted(weights, reverse=True)
        assert weights
        assert all(math.isfinite(weight) and weight > 0 for weight in weights)


def test_terms_come_on_request_and_name_the_ids(http: httpx.Client, service: InferenceService) -> None:
    answer = _encode(http, texts=["cat and dog"], return_terms=True, side="query", model="tiny-idf")
    vector = answer.encodings[0].vector
    assert set(vector.terms) == {"cat", "and", "dog"}
    expected = asyncio.run(service.encode(["cat and dog"], side=Side.QUERY, model="tiny-idf", return_terms=True))
    assert dict(zip(vector.term_ids, vector.terms, strict=True)) == dict(
        zip(expected.encodings[0].vector.term_ids, expected.encodings[0].vector.terms, strict=True)
    )


@pytest.mark.parametrize(
    ("rule", "domain"),
    [
        ({"type": "top_k", "value": 2}, Pruning(PruningType.TOP_K, 2)),
        ({"type": "max_ratio", "value": 0.6}, Pruning(PruningType.MAX_RATIO, 0.6)),
        ({"type": "none"}, Pruning()),
        ({"type": "alpha_mass", "value": 0.5}, Pruning(PruningType.ALPHA_MASS, 0.5)),
    ],
)
def test_pruning_reaches_the_service(
    http: httpx.Client, service: InferenceService, rule: dict[str, object], domain: Pruning
) -> None:
    answer = _encode(http, texts=TEXTS, pruning=rule)
    expected = asyncio.run(service.encode(TEXTS, pruning=domain))
    assert [len(encoding.vector.term_ids) for encoding in answer.encodings] == [
        len(encoding.vector) for encoding in expected.encodings
    ]


def test_windows_reach_the_service(http: httpx.Client, service: InferenceService) -> None:
    long = " ".join(TEXTS * 40)
    cut = _encode(http, texts=[long]).encodings[0]
    assert (cut.truncated, cut.windows) == (True, 1)
    slid = _encode(http, texts=[long], windows={"policy": "slide", "stride": 60, "max_windows": 3}).encodings[0]
    expected = asyncio.run(service.encode([long], windows=Windows(WindowPolicy.SLIDE, 60, 3))).encodings[0]
    assert (slid.truncated, slid.windows) == (expected.truncated, expected.windows)
    assert slid.windows == 3


def test_refusing_to_cut_names_the_text(http: httpx.Client) -> None:
    body = {"texts": ["cat", " ".join(TEXTS * 40)], "windows": {"policy": "refuse"}}
    response = http.post("/v1/encode", json=body)
    assert response.status_code == 422
    assert response.json()["reason"] == "TEXT_TOO_LONG"
    assert response.json()["field"] == "texts[1]"


def test_the_expected_fingerprint_is_checked(http: httpx.Client, service: InferenceService) -> None:
    right = service.models()[0].fingerprint
    assert _encode(http, texts=["cat"], expected_fingerprint=right).fingerprint == right
    response = http.post("/v1/encode", json={"texts": ["cat"], "expected_fingerprint": "0" * 64})
    assert (response.status_code, response.json()["reason"]) == (409, "FINGERPRINT_MISMATCH")


def test_the_bulk_lane_gives_the_same_vectors(http: httpx.Client) -> None:
    interactive, bulk = _encode(http, texts=TEXTS), _encode(http, texts=TEXTS, lane="bulk")
    assert [e.vector.term_ids for e in interactive.encodings] == [e.vector.term_ids for e in bulk.encodings]


def test_optional_fields_may_be_null(http: httpx.Client) -> None:
    body = {"texts": ["cat"], "model": None, "pruning": None, "expected_fingerprint": None}
    assert http.post("/v1/encode", json=body).status_code == 200


def test_no_texts_give_no_encodings(http: httpx.Client) -> None:
    assert _encode(http, texts=[]).encodings == []


def test_text_of_only_punctuation_is_encoded(http: httpx.Client) -> None:
    answer = _encode(http, texts=["... !!! ???", "\u2028 \U0001f600"])
    assert len(answer.encodings) == 2


def test_models_are_listed_and_described(http: httpx.Client, service: InferenceService) -> None:
    listed = ModelsAnswer.model_validate_json(http.get("/v1/models").content).models
    assert [model.name for model in listed] == [model.name for model in service.models()]
    assert [model.is_default for model in listed] == [True, False, True]
    for model in listed:
        one = ModelAnswer.model_validate_json(http.get(f"/v1/models/{model.name}").content)
        assert one == model


def test_an_unknown_model_is_a_problem(http: httpx.Client) -> None:
    response = http.get("/v1/models/nobody")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "urn:splade-sidecar:problem:unknown-model",
        "title": "Unknown model",
        "status": 404,
        "detail": "No model of that name is served: see /v1/models.",
        "reason": "UNKNOWN_MODEL",
        "field": "name",
    }


def test_a_cross_encoder_does_not_encode(http: httpx.Client) -> None:
    response = http.post("/v1/encode", json={"texts": ["cat"], "model": "tiny-cross-encoder"})
    assert (response.status_code, response.json()["reason"]) == (400, "WRONG_MODEL_KIND")


def test_text_outside_the_basic_plane_survives_the_way(http: httpx.Client) -> None:
    escaped = b'{"texts": ["cat \\ud83d\\ude00 dog"]}'
    response = http.post("/v1/encode", content=escaped, headers={"content-type": "application/json; charset=utf-8"})
    assert response.status_code == 200
    plain = http.post(
        "/v1/encode", content=orjson.dumps({"texts": ["cat 😀 dog"]}), headers={"content-type": "application/json"}
    )
    assert response.json()["encodings"] == plain.json()["encodings"]
