"""Alert rules and dashboard: PromQL that parses, of metrics and labels that the sidecar has."""

from __future__ import annotations

import json
import re

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from sidecar.domain import Lane
from sidecar.errors import WIRE
from sidecar.server import metrics
from sidecar.settings import Settings
from tests.support.helm import CHART, Helm

OF_PROMETHEUS = {"namespace", "job", "pod"}
"""Labels that a ServiceMonitor's targets get."""

ENDINGS = ("", "_total", "_bucket", "_sum", "_count")
"""Of the series of one collector."""

MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')

Rule = dict[str, object]


@pytest.fixture(scope="module")
def rules(helm: Helm) -> list[Rule]:
    values = yaml.safe_load((CHART / "ci" / "tls-values.yaml").read_text(encoding="utf-8"))
    (group,) = helm.render(values).one("PrometheusRule")["spec"]["groups"]
    assert len(group["rules"]) >= 8
    return group["rules"]


def series() -> dict[str, set[str]]:
    """Names of series as a scrape has them, each with its labels."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        endings = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        for ending in endings:
            found[family.name + ending] = set()
    for collector, labels in labelled():
        for name in found:
            if name in {collector + ending for ending in ENDINGS}:
                found[name] |= labels | ({"le"} if name.endswith("_bucket") else set())
    return found


def labelled() -> list[tuple[str, set[str]]]:
    own = [each for each in vars(metrics).values() if hasattr(each, "_labelnames")]
    collected = [family for each in (metrics._SCHEDULERS, metrics._CACHES) for family in each.describe()]
    return [
        *((each._name, set(each._labelnames)) for each in own),
        *((family.name, set(family._labelnames)) for family in collected),
    ]


def test_every_expression_parses(rules: list[Rule]) -> None:
    for rule in rules:
        promql_parser.parse(rule["expr"])


def asked_for(expression: str) -> set[str]:
    """Return the series that an expression asks for; fails where one, or one of its labels, does not exist."""
    known = series()
    found: set[str] = set()
    for name, matchers in re.findall(r"\b((?:sidecar|process)_\w+)\{([^}]*)\}", expression):
        assert name in known, expression
        labels = {label for label, _, _ in MATCHER.findall(matchers)}
        assert labels <= known[name] | OF_PROMETHEUS, expression
        found.add(name)
    assert found, expression
    by = {label.strip() for group in re.findall(r"\bby \(([^)]*)\)", expression) for label in group.split(",")}
    assert by <= set().union(*(known[name] for name in found)) | OF_PROMETHEUS, expression
    return found


def test_every_metric_and_label_of_a_rule_exists(rules: list[Rule]) -> None:
    assert len(set().union(*(asked_for(rule["expr"]) for rule in rules))) >= 8


def test_every_metric_and_label_of_the_dashboard_exists(helm: Helm) -> None:
    found = helm.render({"metrics": {"dashboard": {"enabled": True}}}).one("ConfigMap", "-dashboard")
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    dashboard = json.loads(found["data"]["splade-sidecar.json"])
    known = series()
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            promql_parser.parse(target["expr"].replace("$__rate_interval", "5m"))
            asked = asked_for(target["expr"])
            # The legend names labels that the expression leaves.
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                assert label in OF_PROMETHEUS.union(*(known[name] for name in asked)), panel["title"]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"]) >= 12
    for variable in dashboard["templating"]["list"][1:]:
        name = re.search(r"label_values\((\w+)", variable["query"]["query"])
        assert name is not None
        assert name[1] in known


def test_every_value_that_a_label_is_compared_with_occurs(rules: list[Rule]) -> None:
    codes = {wire.code.name for wire in WIRE.values()} | {"OK"}
    for rule in rules:
        for label, _, value in MATCHER.findall(rule["expr"]):
            if label == "code":
                assert set(value.split("|")) <= codes, rule["alert"]
            if label == "lane":
                assert value in set(Lane)


def test_every_series_is_of_this_release(rules: list[Rule]) -> None:
    for rule in rules:
        for matchers in re.findall(r"\{([^}]*)\}", rule["expr"]):
            assert 'namespace="encoders", job="search-splade-sidecar-metrics"' in matchers


def test_every_alert_says_what_and_how_bad(rules: list[Rule]) -> None:
    names = [rule["alert"] for rule in rules]
    assert len(names) == len(set(names))
    for rule in rules:
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"].keys() == {"summary", "description"}
        for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["description"]):
            assert label in rule["expr"]


def test_the_queue_alert_follows_the_setting(helm: Helm) -> None:
    def threshold(values: dict[str, object]) -> int:
        found = helm.render({"metrics": {"prometheusRule": {"enabled": True}}, **values})
        (group,) = found.one("PrometheusRule")["spec"]["groups"]
        rule = next(each for each in group["rules"] if each["alert"] == "SpladeSidecarQueueLong")
        return int(rule["expr"].rpartition(">")[2])

    assert threshold({}) == int(0.8 * Settings.model_fields["max_queue_tokens"].default)
    assert threshold({"settings": {"max_queue_tokens": 1_000_000}}) == 800_000


def test_certificates_are_watched_only_where_there_are_any(helm: Helm, rules: list[Rule]) -> None:
    assert "SpladeSidecarCertificateExpires" in [rule["alert"] for rule in rules]
    plain = helm.render({"metrics": {"prometheusRule": {"enabled": True}}}).one("PrometheusRule")
    assert "SpladeSidecarCertificateExpires" not in [rule["alert"] for rule in plain["spec"]["groups"][0]["rules"]]
