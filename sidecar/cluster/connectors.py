"""Connectors: how the cluster's own ml-commons calls the sidecar, for documents at ingest and for queries.

Connectors and models have names that follow from the index's, so that they are found again without their ids.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from sidecar.cluster.record import SettingChange
from sidecar.cluster.requests import Request, Wait
from sidecar.cluster.templates import json_file
from sidecar.domain import JsonObject, JsonValue, as_object
from sidecar.engine import Engine
from sidecar.engine.access import is_http_address
from sidecar.errors import EngineRejected, IndexNotFound, InvalidInput

__all__ = ["SIDES", "ConnectorSpec", "find_named", "plan_connectors", "plan_settings", "resource_name"]

SIDES = {"document": "documents", "query": "queries"}
"""Sides of retrieval, and the words for them in names."""

TRUSTED = "plugins.ml_commons.trusted_connector_endpoints_regex"
PRIVATE = "plugins.ml_commons.connector.private_ip_enabled"

FAILED = ("FAILED", "COMPLETED_WITH_ERROR", "CANCELLED", "EXPIRED")
LOCAL_NAMES = (".local", ".internal", ".svc", ".lan", ".home.arpa")


@dataclass(frozen=True, slots=True)
class ConnectorSpec:
    """Where the cluster finds the sidecar's HTTP port, e.g. `http://sidecar.search.svc:8080`; its bearer token."""

    endpoint: str
    token: str | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.endpoint) if is_http_address(self.endpoint) else None
        if parts is None or parts.query or parts.username:
            raise InvalidInput(
                "The connector's address must look like http://host:8080, as the cluster sees it.", field="connector"
            )
        object.__setattr__(self, "endpoint", self.endpoint.rstrip("/"))

    def __repr__(self) -> str:
        return f"ConnectorSpec({self.endpoint!r})"


def resource_name(index: str, side: str) -> str:
    """Return the name of the connector, and of its model, for one side of one index."""
    return f"splade-sidecar {index} {SIDES[side]}"


async def plan_connectors(
    engine: Engine, index: str, spec: ConnectorSpec, model: str, *, by_term_id: bool
) -> tuple[list[Request], dict[str, str]]:
    """Return the requests that make what is missing, and the ids of the models that are there (`SIDE_model_id`)."""
    requests: list[Request] = []
    known: dict[str, str] = {}
    for side in SIDES:
        name = resource_name(index, side)
        models = await find_named(engine, "models", name)
        if models:
            known[f"{side}_model_id"] = models[0]
            continue
        connectors = await find_named(engine, "connectors", name)
        connector: JsonValue = connectors[0] if connectors else f"${{{side}_connector_id}}"
        if not connectors:
            body = _connector(name, side, spec, model, by_term_id)
            captures = {f"{side}_connector_id": "connector_id"}
            requests.append(Request("POST", "/_plugins/_ml/connectors/_create", body, captures))
        registered = {**json_file("connectors", "model.json"), "name": name, "connector_id": connector}
        task = {f"{side}_task_id": "task_id"}
        requests.append(Request("POST", "/_plugins/_ml/models/_register?deploy=true", registered, task))
        requests.append(
            Request(
                "GET",
                f"/_plugins/_ml/tasks/${{{side}_task_id}}",
                captures={f"{side}_model_id": "model_id"},
                wait=Wait("state", "COMPLETED", FAILED),
            )
        )
    return requests, known


async def plan_settings(engine: Engine, spec: ConnectorSpec) -> tuple[list[Request], dict[str, SettingChange]]:
    """Return the request that lets ml-commons call the sidecar, and what it changes; nothing where it may already."""
    answer = await engine.read("GET", "/_cluster/settings", {"include_defaults": "true", "flat_settings": "true"})
    persistent = as_object(answer.get("persistent"))
    effective = {**as_object(answer.get("defaults")), **persistent, **as_object(answer.get("transient"))}
    wanted: dict[str, JsonValue] = {}
    trusted = [str(pattern) for pattern in _list(effective.get(TRUSTED))]
    if not any(_matches(pattern, f"{spec.endpoint}/ml-commons/sparse/document") for pattern in trusted):
        wanted[TRUSTED] = [*trusted, trusted_pattern(spec.endpoint)]
    if _is_private(spec.endpoint) and PRIVATE in effective and str(effective[PRIVATE]).lower() != "true":
        wanted[PRIVATE] = True
    if not wanted:
        return [], {}
    changes = {key: SettingChange(before=persistent.get(key), after=value) for key, value in wanted.items()}
    return [Request("PUT", "/_cluster/settings", {"persistent": wanted})], changes


def trusted_pattern(endpoint: str) -> str:
    """Return the regular expression that trusts the sidecar's address and nothing else."""
    return f"^{re.escape(endpoint)}/.*$"


async def find_named(engine: Engine, kind: str, name: str) -> list[str]:
    """Return the ids of ml-commons' `connectors` or `models` of that name."""
    query: JsonObject = {"query": {"term": {"name.keyword": {"value": name}}}, "size": 100, "_source": ["name"]}
    try:
        answer = await engine.read("POST", f"/_plugins/_ml/{kind}/_search", body=query)
    except IndexNotFound:
        return []
    except EngineRejected as error:
        if error.status == 404:
            return []
        raise
    hits = as_object(answer.get("hits")).get("hits")
    return [str(hit["_id"]) for hit in _list(hits) if isinstance(hit, Mapping) and "_id" in hit]


def _connector(name: str, side: str, spec: ConnectorSpec, model: str, by_term_id: bool) -> JsonObject:
    body = json_file("connectors", f"sparse-{side}.json")
    (action,) = (as_object(entry) for entry in _list(body.get("actions")))
    request_body = '{ "texts": ${parameters.input}, "sparse_embedding_format": "token_id" }'
    own: JsonObject = {
        **action,
        "url": f"${{parameters.endpoint}}/ml-commons/sparse/{side}?model=${{parameters.model}}",
        **({"request_body": request_body} if by_term_id else {}),
    }
    return {
        **body,
        "name": name,
        "description": f"Made by sidecar setup. {body.get('description', '')}",
        "parameters": {"endpoint": spec.endpoint, "model": quote(model, safe="")},
        "credential": {"token": spec.token or "none"},
        "actions": [own],
    }


def _matches(pattern: str, url: str) -> bool:
    try:
        return re.fullmatch(pattern, url) is not None
    except re.error:
        return False


def _is_private(endpoint: str) -> bool:
    """Whether ml-commons would call the address private; a name with dots is taken for a public one."""
    host = urlsplit(endpoint).hostname or ""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith(LOCAL_NAMES)


def _list(value: JsonValue) -> list[JsonValue]:
    return list(value) if isinstance(value, list | tuple) else []
