"""The alert rules: PromQL that parses, of metrics and labels that the sidecar has."""

from __future__ import annotations

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
            if name.startswith(collector):
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


def test_every_metric_and_label_exists(rules: list[Rule]) -> None:
    known = series()
    used: set[str] = set()
    for rule in rules:
        for name, matchers in re.findall(r"\b((?:sidecar|process)_\w+)\{([^}]*)\}", rule["expr"]):
            assert name in known, f"{rule['alert']} asks for {name}"
            labels = {label for label, _, _ in MATCHER.findall(matchers)}
            assert labels <= known[name] | OF_PROMETHEUS, rule["alert"]
            used.add(name)
        by = {label.strip() for group in re.findall(r"\bby \(([^)]*)\)", rule["expr"]) for label in group.split(",")}
        asked = set().union(*(known[name] for name in re.findall(r"\b(?:sidecar|process)_\w+(?=\{)", rule["expr"])))
        assert by <= asked | OF_PROMETHEUS, rule["alert"]
    assert len(used) >= 8


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
