"""The OpenAPI document is valid, lists every route, and tells the truth about the answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from sidecar import __version__
from tests.support.openapi import described, within
from tests.unit.http_edge.conftest import Serve
from tests.unit.http_edge.test_bad_input import JSON, ROUTES
from tests.unit.http_edge.test_searching import SEARCHING

PROBES_AND_LISTS = {
    "/v1/models": "/v1/models",
    "/v1/models/{name}": "/v1/models/tiny-sparse",
    "/info": "/info",
    "/health": "/health",
    "/weaviate/meta": "/weaviate/meta",
    "/weaviate/.well-known/live": "/weaviate/.well-known/live",
    "/weaviate/.well-known/ready": "/weaviate/.well-known/ready",
}


@pytest.fixture(scope="module")
def document(http: httpx.Client) -> dict[str, Any]:
    response = http.get("/openapi.json")
    assert response.status_code == 200
    content: dict[str, Any] = response.json()
    return content


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()


def test_the_document_in_the_repository_is_that_of_a_sidecar_that_searches(
    serve: Serve, document: dict[str, Any]
) -> None:
    """After a change, of a sidecar with all SEARCHING: curl …/openapi.json | python -m json.tool > docs/openapi.json"""
    whole = serve(**SEARCHING).http.get("/openapi.json").json()
    committed = orjson.loads((Path(__file__).parents[3] / "docs" / "openapi.json").read_bytes())
    assert {**committed, "info": {**committed["info"], "version": __version__}} == whole
    assert whole["paths"].keys() - document["paths"].keys() == {"/v1/search", "/v1/augment", "/v1/search/body"}
    assert document["paths"].items() <= whole["paths"].items()
    assert document["components"]["schemas"].items() <= whole["components"]["schemas"].items()
    OpenAPIV31SpecValidator(whole).validate()


def test_bodies_are_in_the_document_only_where_they_are_allowed(serve: Serve) -> None:
    paths = serve(**{**SEARCHING, "search_bodies": False}).http.get("/openapi.json").json()["paths"]
    assert "/v1/search" in paths
    assert "/v1/search/body" not in paths


@pytest.mark.parametrize("path", PROBES_AND_LISTS)
def test_only_an_answer_with_a_body_has_a_declared_type(
    http: httpx.Client, document: dict[str, Any], path: str
) -> None:
    response = http.get(PROBES_AND_LISTS[path])
    declared = document["paths"][path]["get"]["responses"][str(response.status_code)]
    assert list(declared.get("content", [])) == (["application/json"] if response.content else [])


def test_it_lists_every_route_and_no_other(document: dict[str, Any]) -> None:
    assert set(document["paths"]) == set(ROUTES) | set(PROBES_AND_LISTS)


def test_operations_have_names_of_their_own(document: dict[str, Any]) -> None:
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    assert "ml_commons_sparse_document" in names
    assert all(operation["summary"] for operation in operations)


def test_no_route_promises_fastapis_own_validation_error(document: dict[str, Any]) -> None:
    assert "HTTPValidationError" not in document["components"]["schemas"]
    for path in document["paths"].values():
        for operation in path.values():
            assert {"4XX", "5XX"} <= set(operation["responses"])


@pytest.mark.parametrize("path", ROUTES)
def test_answers_and_errors_are_as_described(http: httpx.Client, document: dict[str, Any], path: str) -> None:
    fine = http.post(path, content=(ROUTES[path] % "cat and dog").encode(), headers=JSON)
    assert fine.status_code == 200
    described(document, path, "post", "200").validate(fine.json())
    broken = http.post(path, content=b"{", headers=JSON)
    assert broken.status_code == 422
    described(document, path, "post", "4XX").validate(broken.json())


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/{name}"])
def test_lists_are_as_described(http: httpx.Client, document: dict[str, Any], path: str) -> None:
    described(document, path, "get", "200").validate(http.get(PROBES_AND_LISTS[path]).json())


@pytest.mark.parametrize("path", ROUTES)
def test_the_request_bodies_of_the_tests_are_as_described(document: dict[str, Any], path: str) -> None:
    schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    validator = within(document, schema)
    validator.validate(orjson.loads(ROUTES[path] % "cat"))
    assert not validator.is_valid(7)


def test_the_token_is_declared_where_one_is_set(serve: Serve, document: dict[str, Any]) -> None:
    assert "security" not in document
    http = serve(auth_token="sesame").http
    guarded = http.get("/openapi.json").json()
    OpenAPIV31SpecValidator(guarded).validate()
    assert guarded["security"] == [{"token": []}]
    open_paths = {
        path
        for path, operations in guarded["paths"].items()
        if any(operation.get("security") == [] for operation in operations.values())
    }
    answered = {path for path, address in PROBES_AND_LISTS.items() if http.get(address).status_code < 300}
    assert open_paths == answered
