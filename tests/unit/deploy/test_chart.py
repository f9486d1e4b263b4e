"""What Helm makes of the chart: objects that Kubernetes takes, and that fit the sidecar."""

from __future__ import annotations

from pathlib import Path

import kubernetes_validate
import pytest

from sidecar import __version__
from sidecar.settings import Settings
from tests.support.chart import (
    ELSEWHERE,
    VALUES,
    VERSIONS,
    chart_file,
    container_of,
    every_values,
    pod_of,
    rendered,
    selects,
    settings_file,
    values_of,
)
from tests.support.helm import Helm


def test_helm_lint_finds_nothing(helm: Helm) -> None:
    for name in VALUES:
        assert helm.lint(values_of(name)) == [], name


def test_the_archive_holds_the_chart_and_no_test_values(helm: Helm, tmp_path: Path) -> None:
    files = {name.removeprefix("splade-sidecar/") for name in helm.package(tmp_path)}
    assert {"Chart.yaml", "README.md", "CHANGELOG.md", "values.yaml", "values.schema.json", "files/check.py"} <= files
    assert not [name for name in files if name.startswith("ci/")]


@every_values
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_every_object(helm: Helm, name: str, version: str) -> None:
    checked = [each for each in rendered(helm, name).objects if each["kind"] not in ELSEWHERE]
    assert len(checked) >= 3
    for found in checked:
        kubernetes_validate.validate(found, version, strict=True)


def test_a_wrong_object_would_be_seen(helm: Helm) -> None:
    found = helm.render().one("Deployment")
    found["spec"]["template"]["spec"]["containers"][0]["livenessProb"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(found, VERSIONS[-1], strict=True)


@every_values
def test_no_object_is_there_twice_and_each_says_whose_it_is(helm: Helm, name: str) -> None:
    found = rendered(helm, name).objects
    names = [(each["kind"], each["metadata"]["name"]) for each in found]
    assert len(names) == len(set(names))
    for each in found:
        if not each["metadata"]["name"].endswith("-extra"):
            assert each["metadata"]["namespace"] == "encoders"
            assert each["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"


def test_what_is_on_by_default(helm: Helm) -> None:
    kinds = sorted(each["kind"] for each in rendered(helm, "default").objects)
    assert kinds == [
        *("ConfigMap", "Deployment", "Pod", "PodDisruptionBudget", "Service", "Service", "ServiceAccount"),
    ]


def test_what_can_be_left_out(helm: Helm) -> None:
    kinds = sorted(each["kind"] for each in rendered(helm, "one-pod").objects)
    assert kinds == ["ConfigMap", "Deployment", "Service"]


def test_everything_that_can_be_asked_for(helm: Helm) -> None:
    kinds = {each["kind"] for each in rendered(helm, "everything").objects}
    assert rendered(helm, "everything").one("ConfigMap", "-dashboard")
    assert {"HorizontalPodAutoscaler", "NetworkPolicy", "ServiceMonitor", "PrometheusRule"} <= kinds
    assert rendered(helm, "mutual-tls").one("Certificate")["spec"]["secretName"] == "search-splade-sidecar-tls"


@every_values
def test_probes_ask_the_admin_port_in_plaintext(helm: Helm, name: str) -> None:
    container = container_of(rendered(helm, name))
    paths = {probe: container[probe]["httpGet"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert {probe: asked["path"] for probe, asked in paths.items()} == {
        "startupProbe": "/startupz",
        "readinessProbe": "/readyz",
        "livenessProbe": "/livez",
    }
    assert {(asked["port"], asked["scheme"]) for asked in paths.values()} == {("admin", "HTTP")}


@every_values
def test_a_pod_gets_the_time_it_drains_in(helm: Helm, name: str) -> None:
    found = rendered(helm, name)
    settings, container = settings_file(found), container_of(found)
    slept = int(container.get("lifecycle", {"preStop": {"exec": {"command": ["0"]}}})["preStop"]["exec"]["command"][-1])
    took = slept + settings["drain_delay"] + settings["drain_grace"]
    assert pod_of(found)["spec"]["terminationGracePeriodSeconds"] > took
    readiness = container["readinessProbe"]
    assert settings["drain_delay"] > readiness["periodSeconds"] * readiness["failureThreshold"]
    assert settings["drain_grace"] >= settings.get("request_timeout", Settings.model_fields["request_timeout"].default)


@every_values
def test_pods_run_with_nothing_they_do_not_need(helm: Helm, name: str) -> None:
    found = rendered(helm, name)
    pods = [pod_of(found)["spec"], *(each["spec"] for each in found.of("Pod"))]
    for pod in pods:
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsUser"] == 10_001
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        own = pod["containers"][0]
        assert own["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"name": "tmp", "mountPath": "/tmp"} in own["volumeMounts"]
        assert {mount["name"] for mount in own["volumeMounts"]} <= {volume["name"] for volume in pod["volumes"]}
    for account in found.of("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


@every_values
def test_services_lead_to_the_pods_and_to_no_other(helm: Helm, name: str) -> None:
    found = rendered(helm, name)
    labels = pod_of(found)["metadata"]["labels"]
    ports = {each["name"]: each["containerPort"] for each in container_of(found)["ports"]}
    assert selects(found.one("Deployment")["spec"]["selector"]["matchLabels"], labels)
    for service in found.of("Service"):
        assert selects(service["spec"]["selector"], labels)
        # The pod of `helm test` answers nobody.
        assert not [pod for pod in found.of("Pod") if selects(service["spec"]["selector"], pod["metadata"]["labels"])]
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in ports
            if service["spec"].get("clusterIP") == "None":
                assert port["port"] == ports[port["targetPort"]]
        only_metrics = service["metadata"]["name"].endswith("-metrics")
        assert {port["name"] for port in service["spec"]["ports"]} == ({"admin"} if only_metrics else {"grpc", "http"})
    for budget in found.of("PodDisruptionBudget"):
        assert selects(budget["spec"]["selector"]["matchLabels"], labels)
    for constraint in pod_of(found)["spec"].get("topologySpreadConstraints", ()):
        assert selects(constraint["labelSelector"]["matchLabels"], labels)


def test_prometheus_finds_the_metrics_service_alone(helm: Helm) -> None:
    found = rendered(helm, "everything")
    monitor = found.one("ServiceMonitor")["spec"]
    chosen = [
        each for each in found.of("Service") if selects(monitor["selector"]["matchLabels"], each["metadata"]["labels"])
    ]
    assert [each["metadata"]["name"] for each in chosen] == ["search-encoder-metrics"]
    assert monitor["endpoints"][0]["port"] in {port["name"] for port in chosen[0]["spec"]["ports"]}
    assert monitor["endpoints"][0]["path"] == "/metrics"
    assert monitor["namespaceSelector"] == {"matchNames": ["encoders"]}


def test_the_image_is_that_of_the_sidecar_unless_said_otherwise(helm: Helm) -> None:
    assert chart_file()["appVersion"] == __version__
    assert container_of(rendered(helm, "default"))["image"] == f"splade-sidecar:{__version__}"
    assert container_of(rendered(helm, "everything"))["image"].startswith("example/splade-sidecar@sha256:")
    assert container_of(helm.render({"image": {"tag": "2"}}))["image"] == "splade-sidecar:2"


def test_replicas_are_left_to_the_autoscaler(helm: Helm) -> None:
    found = rendered(helm, "everything")
    assert "replicas" not in found.one("Deployment")["spec"]
    assert found.one("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == "search-encoder"
    alone = helm.render({"autoscaling": {"enabled": True, "minReplicas": 1}})
    assert alone.of("PodDisruptionBudget") == []


def test_names_stay_within_what_kubernetes_takes(helm: Helm) -> None:
    found = helm.render({"metrics": {"service": {"enabled": True}}}, release="r" * 53)
    for each in found.of("Service"):
        assert len(each["metadata"]["name"]) <= 63
    assert len({each["metadata"]["name"] for each in found.of("Service")}) == 3
    assert helm.render(release="splade-sidecar").one("Deployment")["metadata"]["name"] == "splade-sidecar"
