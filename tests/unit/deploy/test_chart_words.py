"""What is said of the chart: notes, refusals, changelog, examples and documentation, beside what it does."""

from __future__ import annotations

import re

import kubernetes_validate
import pytest
import yaml

from tests.support.chart import (
    ELSEWHERE,
    VERSIONS,
    chart_file,
    container_of,
    rendered,
)
from tests.support.deployment import EXAMPLES, known_variable
from tests.support.documentation import REPOSITORY, blocks
from tests.support.helm import CHART, Helm, HelmRefused, Object
from tests.support.shell import typed


def test_the_notes_warn_of_what_is_open(helm: Helm) -> None:
    open_to_all = rendered(helm, "default").notes
    assert "there is no token" in open_to_all
    assert "there is no network policy" in open_to_all
    closed = rendered(helm, "everything").notes
    assert "no token" not in closed
    assert "no network policy" not in closed
    assert "there is no TLS" in closed
    over_tls = rendered(helm, "tls").notes
    assert "https://search-splade-sidecar.encoders.svc:8080" in over_tls
    assert r"{.data.issuer\.pem}" in over_tls
    assert "WARNING" not in over_tls
    assert "helm -n encoders test" not in rendered(helm, "mutual-tls").notes


@pytest.mark.parametrize("scraped", ["serviceMonitor", "service", ""])
def test_the_notes_warn_of_alerts_that_nothing_is_measured_for(helm: Helm, scraped: str) -> None:
    """Every rule is of the job that the metrics' Service makes: without it, their absence fires for ever."""
    metrics = {"prometheusRule": {"enabled": True}, **({scraped: {"enabled": True}} if scraped else {})}
    found = helm.render({"metrics": metrics})
    assert ("SpladeSidecarAbsent will fire" in found.notes) is not bool(scraped)
    services = {each["metadata"]["name"] for each in found.of("Service")}
    assert ("search-splade-sidecar-metrics" in services) is bool(scraped)


def test_the_notes_name_options_that_exist(helm: Helm) -> None:
    options = typed("setup", "--help").stdout
    named = set(re.findall(r"(?<= )--[a-z-]+", rendered(helm, "tls").notes.partition("sidecar setup")[2]))
    assert named == {"--index", "--engine", "--sidecar", "--sidecar-ca", "--dry-run"}
    assert all(option in options for option in named)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"drain": {"delaySeconds": 9}}, "readinessProbe.periodSeconds"),
        ({"drain": {"graceSeconds": 20}}, "settings.request_timeout"),
        ({"settings": {"request_timeout": 29}}, "settings.request_timeout"),
        ({"grpcConnections": {"graceSeconds": 20}}, "grpcConnections.graceSeconds (20) must not be below"),
        ({"settings": {"request_timeout": 61}, "drain": {"graceSeconds": 61}}, "grpcConnections.graceSeconds"),
        ({"terminationGracePeriodSeconds": 36}, "calls under way would be cut off"),
        ({"terminationGracePeriodSeconds": 40, "preStopSleepSeconds": 5}, "calls under way would be cut off"),
        ({"tls": {"existingSecret": "a", "certManager": {"enabled": True, "issuerRef": {"name": "b"}}}}, "exclude"),
        ({"tls": {"existingSecret": "a", "clientCASecret": "b"}}, "no client would be asked"),
        ({"tls": {"clientCAKey": "ca.crt"}}, "without TLS, no client shows a certificate"),
        ({"ports": {"http": 9090}}, "must be three numbers"),
        ({"service": {"httpPort": 50051}}, "must be two numbers"),
        ({"autoscaling": {"enabled": True, "minReplicas": 7}}, "maxReplicas (6) must not be below"),
        ({"metrics": {"serviceMonitor": {"enabled": True, "interval": "5s"}}}, "Prometheus would not scrape"),
        ({"metrics": {"serviceMonitor": {"enabled": True, "scrapeTimeout": "1m1ms", "interval": "1m"}}}, "not scrape"),
    ],
)
def test_values_that_do_not_go_together_are_refused(helm: Helm, values: dict[str, object], said: str) -> None:
    with pytest.raises(HelmRefused, match=re.escape(said)):
        helm.render(values)


@pytest.mark.parametrize(
    "values",
    [
        {"metrics": {"serviceMonitor": {"enabled": True, "interval": "1m30s", "scrapeTimeout": "90s"}}},
        {"metrics": {"serviceMonitor": {"interval": "5s"}}},
        {"grpcConnections": {"maxAgeSeconds": 0, "graceSeconds": 20}},
        {"autoscaling": {"minReplicas": 7}},
        {"autoscaling": {"enabled": True, "minReplicas": 6}},
    ],
)
def test_values_that_go_together_are_taken(helm: Helm, values: dict[str, object]) -> None:
    assert helm.render(values).one("Deployment")


def test_the_notes_read_a_key_of_any_name(helm: Helm) -> None:
    notes = helm.render({"auth": {"existingSecret": "sidecar", "secretKey": "token.txt"}}).notes
    assert r"-o jsonpath='{.data.token\.txt}' | base64 -d" in notes


def test_the_changelog_has_the_version() -> None:
    assert f"## [{chart_file()['version']}]" in (CHART / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("version", ["1.30", "1.37"])
def test_the_example_of_one_pod_is_what_the_chart_does(helm: Helm, version: str) -> None:
    example = yaml.safe_load((EXAMPLES / "same-pod.yaml").read_text(encoding="utf-8"))
    kubernetes_validate.validate(example, version, strict=True)
    pod = example["spec"]["template"]["spec"]
    own = pod["initContainers"][0]
    _check_beside(own, container_of(rendered(helm, "default")))
    assert own["restartPolicy"] == "Always"
    assert pod["enableServiceLinks"] is False
    grace = next(float(each["value"]) for each in own["env"] if each["name"] == "SIDECAR_DRAIN_GRACE")
    assert pod["terminationGracePeriodSeconds"] > grace


def test_the_example_for_opensearchs_chart_is_what_the_chart_does(helm: Helm) -> None:
    example = yaml.safe_load((EXAMPLES / "opensearch-values.yaml").read_text(encoding="utf-8"))
    (own,) = example["extraContainers"]
    _check_beside(own, container_of(rendered(helm, "default")))
    deployment = helm.render().one("Deployment")
    deployment["spec"]["template"]["spec"]["containers"].append(own)
    deployment["spec"]["template"]["spec"]["volumes"].extend(example["extraVolumes"])
    kubernetes_validate.validate(deployment, VERSIONS[-1], strict=True)


def _check_beside(own: Object, charts: Object) -> None:
    """A sidecar in a pod of others is opened to that pod only, and confined as the chart confines it."""
    variables = {each["name"]: each["value"] for each in own["env"]}
    assert variables["SIDECAR_BIND"] == "127.0.0.1"
    assert "SIDECAR_ADMIN_BIND" not in variables
    assert all(map(known_variable, variables))
    assert own["image"] == charts["image"]
    assert own["args"] == charts["args"]
    assert own["securityContext"].items() >= charts["securityContext"].items()
    assert own["securityContext"]["runAsUser"] == 10_001
    for probe in ("startupProbe", "livenessProbe"):
        assert own[probe]["httpGet"]["path"] == charts[probe]["httpGet"]["path"]
        assert own[probe]["httpGet"]["port"] in {port["name"] for port in own["ports"]}


def _documented_values() -> list[str]:
    page = REPOSITORY / "docs" / "deploy.md"
    return [block.code for block in blocks(page) if block.language == "yaml"]


@pytest.mark.parametrize("values", _documented_values(), ids=lambda values: values.partition(":")[0])
def test_the_documented_values_are_taken(helm: Helm, values: str) -> None:
    found = helm.render(yaml.safe_load(values))
    for each in found.objects:
        if each["kind"] not in ELSEWHERE:
            kubernetes_validate.validate(each, VERSIONS[-1], strict=True)


def test_the_documented_alerts_are_those_of_the_chart(helm: Helm) -> None:
    text = (REPOSITORY / "docs" / "deploy.md").read_text(encoding="utf-8")
    made = {
        rule["alert"]
        for name in ("tls", "search")
        for rule in rendered(helm, name).one("PrometheusRule")["spec"]["groups"][0]["rules"]
    }
    assert set(re.findall(r"^\| `(SpladeSidecar\w+)`", text, re.MULTILINE)) == made
