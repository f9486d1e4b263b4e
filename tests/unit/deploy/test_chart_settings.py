"""What the sidecar of a pod is told: its settings file, its variables, and the secrets that both name."""

from __future__ import annotations

import os
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from sidecar.errors import SettingsInvalid
from sidecar.settings import Settings, load_settings
from tests.support.chart import VERSIONS, container_of, every_values, pod_of, rendered, settings_file
from tests.support.deployment import known_variable, stages
from tests.support.helm import Helm
from tests.support.shell import typed


@every_values
def test_the_settings_file_is_one_that_serve_reads(
    helm: Helm, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = rendered(helm, name)
    written = settings_file(found)
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(written), encoding="utf-8")
    monkeypatch.setenv("SIDECAR_CONFIG", str(file))
    settings = load_settings()

    assert written.keys() <= Settings.model_fields.keys()
    ports = {each["name"]: each["containerPort"] for each in container_of(found)["ports"]}
    assert ports == {"grpc": settings.grpc_port, "http": settings.http_port, "admin": settings.admin_port}
    assert (settings.bind, settings.admin_bind) == ("0.0.0.0", "0.0.0.0")


def test_check_config_takes_the_default_settings_and_the_starters(
    helm: Helm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("SIDECAR_")]:
        monkeypatch.delenv(name)
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(settings_file(rendered(helm, "default"))), encoding="utf-8")
    done = typed("serve", "--config", str(file), "--check-config")
    assert yaml.safe_load(done.stdout)["drain_delay"] == 10.0
    assert "nothing reads" not in done.stderr


def test_whole_numbers_stay_whole(helm: Helm) -> None:
    text = rendered(helm, "everything").one("ConfigMap", "encoder")["data"]["settings.yaml"]
    assert "rerank_cache_bytes: 1000000\n" in text + "\n"
    assert "max_request_bytes: 67108864\n" in text
    assert "request_timeout: 20.5" in text


@every_values
def test_no_call_is_cut_off_by_the_age_of_its_connection(helm: Helm, name: str) -> None:
    settings = settings_file(rendered(helm, name))
    longest = settings.get("request_timeout", Settings.model_fields["request_timeout"].default)
    assert not settings["grpc_max_connection_age"] or settings["grpc_max_connection_age_grace"] >= longest


def test_connections_are_made_anew_unless_somebody_says_never(helm: Helm) -> None:
    for values, grpc, http in (("default", 300, 300), ("everything", 90, 45.5), ("search", 0, 0)):
        settings = settings_file(rendered(helm, values))
        assert (settings["grpc_max_connection_age"], settings["http_max_connection_age"]) == (grpc, http)


def test_the_token_comes_from_the_secret_and_stands_nowhere_else(helm: Helm) -> None:
    found = rendered(helm, "everything")
    expected = {
        "name": "SIDECAR_AUTH_TOKEN",
        "valueFrom": {"secretKeyRef": {"name": "sidecar-token", "key": "bearer"}},
    }
    assert expected in container_of(found)["env"]
    assert expected in found.one("Pod")["spec"]["containers"][0]["env"]
    assert "auth_token" not in settings_file(found)
    names = [each["name"] for each in container_of(rendered(helm, "default"))["env"]]
    assert names == ["SIDECAR_CONFIG"]


@every_values
def test_every_variable_is_one_that_something_reads(helm: Helm, name: str) -> None:
    found = rendered(helm, name)
    containers = [container_of(found), *(each["spec"]["containers"][0] for each in found.of("Pod"))]
    for container in containers:
        for variable in container["env"]:
            assert known_variable(variable["name"]), variable["name"]
    # The image's own variables come before the file: they must not say otherwise.
    for variable, value in stages()["runtime"].environment.items():
        setting = variable.removeprefix("SIDECAR_").lower()
        assert settings_file(found).get(setting, value) == value


def test_what_kubernetes_says_of_services_would_be_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDECAR_GRPC_PORT", "tcp://10.0.0.1:50051")
    with pytest.raises(SettingsInvalid, match="grpc_port"):
        load_settings()


def test_certificates_are_mounted_as_a_folder_and_named_in_the_settings(helm: Helm) -> None:
    found = rendered(helm, "tls")
    assert {name: value for name, value in settings_file(found).items() if name.startswith("tls_")} == {
        "tls_certificate": "/etc/splade-sidecar-tls/tls.crt",
        "tls_key": "/etc/splade-sidecar-tls/tls.key",
        "tls_min_version": "1.2",
    }
    mount = next(each for each in container_of(found)["volumeMounts"] if each["name"] == "tls")
    # With subPath, the file would stay what it was when the pod started.
    assert mount == {"name": "tls", "mountPath": "/etc/splade-sidecar-tls", "readOnly": True}
    test = found.one("Pod")["spec"]
    assert {"name": "SIDECAR_CA", "value": "/etc/splade-sidecar-tls/issuer.pem"} in test["containers"][0]["env"]
    # The one key that the test needs; it is no server.
    assert next(each for each in test["volumes"] if each["name"] == "tls")["secret"]["items"] == [
        {"key": "issuer.pem", "path": "issuer.pem"}
    ]


def test_clients_authorities_may_be_in_a_secret_of_their_own(helm: Helm) -> None:
    found = rendered(helm, "mutual-tls")
    settings = settings_file(found)
    assert settings["tls_client_ca"] == "/etc/splade-sidecar-tls/clients/ca.crt"
    assert (settings["tls_http_mutual"], settings["tls_min_version"]) == (False, "1.3")
    volume = next(each for each in pod_of(found)["spec"]["volumes"] if each["name"] == "tls")
    assert volume["projected"]["sources"] == [
        {"secret": {"name": "search-splade-sidecar-tls"}},
        {"secret": {"name": "clients", "items": [{"key": "ca.crt", "path": "clients/ca.crt"}]}},
    ]
    assert found.of("Pod") == []
    names = found.one("Certificate")["spec"]["dnsNames"]
    for service in found.of("Service"):
        assert f"{service['metadata']['name']}.encoders.svc" in names


def test_other_settings_are_other_pods(helm: Helm) -> None:
    def checksum(values: dict[str, object]) -> str:
        return pod_of(helm.render(values))["metadata"]["annotations"]["checksum/settings"]

    assert checksum({"settings": {"threads": 3}}) != checksum({}) == checksum({"podLabels": {"a": "b"}})


def test_spans_go_to_the_collector_that_is_named(helm: Helm) -> None:
    found = helm.render(
        {
            "tracing": {"enabled": True, "endpoint": "https://otel-collector.observability:4317"},
            "networkPolicy": {"enabled": True, "extraEgress": [{"ports": [{"port": 443}]}]},
        }
    )
    (container,) = found.one("Deployment")["spec"]["template"]["spec"]["containers"]
    variables = {one["name"]: one.get("value") for one in container["env"]}
    assert variables["OTEL_EXPORTER_OTLP_ENDPOINT"] == "https://otel-collector.observability:4317"
    assert yaml.safe_load(found.one("ConfigMap")["data"]["settings.yaml"])["tracing"] == "otlp"
    policy = found.one("NetworkPolicy")
    assert [[port["port"] for port in rule["ports"]] for rule in policy["spec"]["egress"]] == [[53, 53, 4317], [443]]
    kubernetes_validate.validate(policy, VERSIONS[-1], strict=True)


def test_no_span_without_being_asked(helm: Helm) -> None:
    found = helm.render({})
    (container,) = found.one("Deployment")["spec"]["template"]["spec"]["containers"]
    assert not [one for one in container["env"] if one["name"].startswith("OTEL_")]
    assert "tracing" not in yaml.safe_load(found.one("ConfigMap")["data"]["settings.yaml"])
