"""values.yaml, its schema, the chart's README and the sidecar's settings say the same."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from sidecar.settings import Settings
from tests.support.helm import CHART, Helm, HelmRefused

OF_THE_CHART = {
    *("bind", "admin_bind", "grpc_port", "http_port", "admin_port", "ready_file"),
    *("models", "auth_token", "drain_delay", "drain_grace", "tracing"),
    *("grpc_max_connection_age", "grpc_max_connection_age_grace", "http_max_connection_age"),
    *(name for name in Settings.model_fields if name.startswith(("tls_", "search_"))),
}
"""Settings that have a value of their own in the chart, or no use in a pod."""

BOUNDS = ("type", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "items")

SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
VALUES = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))


def leaves(values: dict[str, object], prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, dict) and value:
            found |= leaves(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def test_the_schema_has_every_setting_with_its_bounds() -> None:
    described = SCHEMA["properties"]["settings"]["properties"]
    fields = Settings.model_json_schema()["properties"]
    assert described.keys() == fields.keys() - OF_THE_CHART, "a setting came or went: change values.schema.json"
    for name, own in described.items():
        assert {key: own[key] for key in BOUNDS if key in own} == {
            key: fields[name][key] for key in BOUNDS if key in fields[name]
        }
        assert own["description"] == fields[name]["description"]


def test_the_schema_has_every_value_and_every_value_its_place() -> None:
    def walk(values: dict[str, object], schema: dict[str, object], where: str) -> None:
        if schema.get("additionalProperties") is not False:
            return
        known = set(schema["properties"]) - {"global", "claims", "initialDelaySeconds", "successThreshold"}
        if where in ("settings", "tls.certManager.issuerRef"):
            assert not values
            return
        assert set(values) == known, where
        for name, value in values.items():
            if isinstance(value, dict):
                walk(value, schema["properties"][name], f"{where}.{name}".lstrip("."))

    walk(VALUES, SCHEMA, "")


def test_the_readme_lists_every_value_with_its_default() -> None:
    text = (CHART / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w.]+)` \| `([^`]*)` \|", text, re.MULTILINE))
    expected = {name: json.dumps(value) for name, value in leaves(VALUES).items()}
    assert rows == expected


@pytest.mark.parametrize(
    "values",
    [
        {"replicas": 2},
        {"replicaCount": -1},
        {"image": {"repo": "x"}},
        {"image": {"digest": "sha256:1"}},
        {"image": {"pullPolicy": "Sometimes"}},
        {"settings": {"thread": 1}},
        {"settings": {"threads": -1}},
        {"settings": {"threads": "two"}},
        {"settings": {"log_level": "loud"}},
        {"settings": {"request_timeout": 0}},
        {"settings": {"providers": ["tpu"]}},
        {"settings": {"auth_token": "secret"}},
        {"settings": {"bind": "127.0.0.1"}},
        {"settings": {"drain_delay": 3}},
        {"settings": {"tls_certificate": "/x"}},
        {"models": {"names": ["a,b"]}},
        {"models": {"names": "a"}},
        {"auth": {"token": "secret"}},
        {"ports": {"grpc": 80}},
        {"service": {"type": "ExternalName"}},
        {"tls": {"minVersion": "1.1"}},
        {"tls": {"certManager": {"enabled": True}}},
        {"search": {"engine": "one:9200"}},
        {"search": {"engine": "https://reader:secret@one:9200", "indices": ["a"]}},
        {"search": {"engine": "https://one:9200", "indices": ["a,b"]}},
        {"search": {"profiles": {"products": "name: products"}}},
        {"search": {"password": "secret"}},
        {"search": {"awsRegion": "Frankfurt"}},
        {"search": {"awsService": "opensearch"}},
        {"settings": {"search_engine": "https://one:9200"}},
        {"settings": {"tracing": "otlp"}},
        {"tracing": {"enabled": True}},
        {"tracing": {"enabled": True, "endpoint": "collector:4317"}},
        {"tracing": {"enabled": True, "endpoint": "http://collector"}},
        {"drain": {"delaySeconds": -1}},
        {"grpcConnections": {"maxAgeSeconds": -1}},
        {"grpcConnections": {"maxAge": 300}},
        {"settings": {"grpc_max_connection_age": 300}},
        {"httpConnections": {"maxAgeSeconds": -1}},
        {"httpConnections": {"graceSeconds": 1}},
        {"settings": {"http_max_connection_age": 300}},
        {"search": {"clientCertificateKey": ""}},
        {"search": {"apiKeySecretKey": ""}},
        {"search": {"apiKey": "id:key"}},
        {"metrics": {"prometheusRule": {"searchErrorShare": 5}}},
        {"readinessProbe": {"httpGet": {"path": "/"}}},
        {"livenessProbe": {"successThreshold": 2}},
        {"startupProbe": {"successThreshold": 2}},
        {"podDisruptionBudget": {"maxUnavailable": 0}},
        {"metrics": {"prometheusRule": {"errorShare": 5}}},
        {"metrics": {"serviceMonitor": {"interval": "often"}}},
        {"tmpSizeLimit": "large"},
    ],
    ids=json.dumps,
)
def test_values_that_mean_nothing_are_refused(helm: Helm, values: dict[str, object]) -> None:
    with pytest.raises(HelmRefused, match="at '"):
        helm.render(values)


def test_a_parent_charts_globals_are_let_through(helm: Helm) -> None:
    assert helm.render({"global": {"registry": "x"}}).one("Deployment")
