"""The connector bodies we ship, filled in as ml-commons fills them in, against a running sidecar."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from tests.unit.http_edge.conftest import Serve, Served

FOLDER = Path(__file__).parents[3] / "mappings" / "connectors"
CONNECTORS = sorted(path for path in FOLDER.glob("*.json") if path.stem != "model")
"""The bodies of connectors; model.json registers one of them as a model."""
TEXTS = ['he said "hello"', "two\nlines\tand a \\ backslash", "emoji 😀 and control \u0001", "cat and dog"]


def _connector(name: str) -> dict[str, Any]:
    content: dict[str, Any] = orjson.loads((FOLDER / f"{name}.json").read_bytes())
    return content


def _fill(template: str, parameters: dict[str, str], credential: dict[str, str]) -> str:
    values = {f"parameters.{name}": value for name, value in parameters.items()}
    values |= {f"credential.{name}": value for name, value in credential.items()}
    filled = re.sub(r"\$\{([^}]+)\}", lambda match: values[match[1]], template)
    assert "${" not in filled
    return filled


def _predict(name: str, url: str, token: str, parameters: dict[str, str]) -> httpx.Response:
    """Send what ml-commons sends for one predict call: `parameters` come from its pre-process function."""
    connector = _connector(name)
    action = connector["actions"][0]
    filled = {**connector["parameters"], "endpoint": url, **parameters}
    credential = {**connector["credential"], "token": token}
    return httpx.request(
        action["method"],
        _fill(action["url"], filled, credential),
        headers={name: _fill(value, filled, credential) for name, value in action["headers"].items()},
        content=_fill(action["request_body"], filled, credential).encode(),
        trust_env=False,
        timeout=60,
    )


@pytest.mark.parametrize("path", CONNECTORS, ids=lambda path: path.stem)
def test_a_connector_has_what_ml_commons_asks_for(path: Path) -> None:
    connector = orjson.loads(path.read_bytes())
    assert connector["protocol"] == "http"
    assert {"name", "description", "version", "credential", "actions"} <= set(connector)
    (action,) = connector["actions"]
    assert action["action_type"] == "predict"
    assert "script" not in str(action)  # no Painless


@pytest.mark.parametrize("name", ["sparse-document", "sparse-query"])
@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:1]])
def test_the_sparse_connectors_get_one_map_per_text(served: Served, name: str, texts: list[str]) -> None:
    response = _predict(name, served.url, "none", {"input": orjson.dumps(texts).decode()})
    assert response.status_code == 200, response.text
    answer = response.json()
    assert len(answer) == len(texts)
    for features in answer:
        assert features
        assert all(isinstance(token, str) and isinstance(weight, float) for token, weight in features.items())


def test_the_rerank_connector_gets_all_scores(served: Served) -> None:
    parameters = {"query": "cat", "documents": orjson.dumps(TEXTS).decode(), "top_n": "4"}
    response = _predict("rerank", served.url, "none", parameters)
    assert response.status_code == 200, response.text
    rows = response.json()["results"]
    assert sorted(row["index"] for row in rows) == [0, 1, 2, 3]
    assert all(isinstance(row["relevance_score"], float) for row in rows)


def test_the_credential_is_the_sidecars_token(serve: Serve) -> None:
    served = serve(auth_token="sesame")
    parameters = {"input": orjson.dumps(TEXTS).decode()}
    assert _predict("sparse-query", served.url, "none", parameters).status_code == 401
    assert _predict("sparse-query", served.url, "sesame", parameters).status_code == 200


def test_the_page_shows_the_connector_we_ship() -> None:
    page = (FOLDER.parents[1] / "docs" / "http.md").read_text(encoding="utf-8")
    shown = [orjson.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    shipped = _connector("sparse-document")
    (connector,) = [content for content in shown if "actions" in content]
    assert {name: shipped[name] for name in connector} == connector
