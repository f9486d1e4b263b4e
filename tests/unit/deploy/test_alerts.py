"""Alert rules and dashboard: PromQL that parses, of metrics and labels that the sidecar has."""

from __future__ import annotations

import json
import re

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from sidecar.domain import Lane
from sidecar.errors import (
    WIRE,
    DeadlineExceeded,
    EngineError,
    FingerprintMismatch,
    IndexNotFound,
    IndexNotPrepared,
    InvalidInput,
    NotAllowed,
    NotReady,
    Overloaded,
    ProfileInvalid,
)
from sidecar.search.degradation import NO_QUERY_TERMS, NO_STORED_VECTORS
from sidecar.server import metrics
from sidecar.server.http.searching import body_router, router
from sidecar.server.metrics import calls, facts, figures, searches
from sidecar.settings import Settings
from tests.support.helm import CHART, Helm

SEARCHED = {"engine": "https://one:9200", "indices": ["articles"]}

OF_PROMETHEUS = {"namespace", "job", "pod"}
"""Labels that a ServiceMonitor's targets get."""

ENDINGS = ("", "_total", "_bucket", "_sum", "_count")
"""Of the series of one collector."""

MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')

Rule = dict[str, object]


@pytest.fixture(scope="module")
def rules(helm: Helm) -> list[Rule]:
    values = yaml.safe_load((CHART / "ci" / "tls-values.yaml").read_text(encoding="utf-8"))
    (group,) = helm.render({**values, "search": SEARCHED}).one("PrometheusRule")["spec"]["groups"]
    assert len(group["rules"]) >= 12
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
    own = [
        each for module in (calls, facts, searches) for each in vars(module).values() if hasattr(each, "_labelnames")
    ]
    collected = [family for each in (figures._SCHEDULERS, figures._CACHES) for family in each.describe()]
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
    occurring = {
        "code": {wire.code.name for wire in WIRE.values()} | {"OK"},
        "lane": set(Lane),
        "outcome": {"ok", "degraded", "error"},
        "reason": {wire.reason for wire in WIRE.values()} | {"CANCELLED", NO_QUERY_TERMS, NO_STORED_VECTORS},
        "method": {route.path for route in (*router.routes, *body_router.routes)},
    }
    compared = [found for rule in rules for found in MATCHER.findall(rule["expr"])]
    assert {label for label, _, _ in compared} == occurring.keys() | {"namespace", "job"}
    for label, _, value in compared:
        assert label not in occurring or set(value.split("|")) <= occurring[label], value


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


def test_certificates_and_searches_are_watched_only_where_there_are_any(helm: Helm, rules: list[Rule]) -> None:
    plain = helm.render({"metrics": {"prometheusRule": {"enabled": True}}}).one("PrometheusRule")
    everywhere = {rule["alert"] for rule in plain["spec"]["groups"][0]["rules"]}
    assert {rule["alert"] for rule in rules} - everywhere == {
        "SpladeSidecarCertificateExpires",
        *(f"SpladeSidecarSearches{what}" for what in ("Fail", "Misdirected", "Degraded", "Partial", "Slow")),
    }


def by_name(rules: list[Rule], ending: str) -> Rule:
    return next(rule for rule in rules if rule["alert"] == f"SpladeSidecar{ending}")


def test_searches_that_fail_by_their_callers_doing_alarm_nobody(rules: list[Rule]) -> None:
    (excused,) = [
        set(value.split("|"))
        for label, operator, value in MATCHER.findall(by_name(rules, "SearchesFail")["expr"])
        if (label, operator) == ("reason", "!~")
    ]
    for kind in (EngineError, Overloaded, DeadlineExceeded, IndexNotPrepared, FingerprintMismatch, NotReady):
        for wire in (WIRE[each] for each in WIRE if issubclass(each, kind) and each is not IndexNotFound):
            assert wire.reason not in excused
    assert {WIRE[kind].reason for kind in (InvalidInput, NotAllowed, ProfileInvalid, IndexNotFound)} <= excused


def test_a_deployment_that_answers_no_search_alarms_somebody(rules: list[Rule]) -> None:
    """Names may be wrong on both sides: an index was deleted, a profile is gone, the list lacks what callers search."""
    rule = by_name(rules, "SearchesMisdirected")
    (watched,) = [set(value.split("|")) for label, _, value in MATCHER.findall(rule["expr"]) if label == "reason"]
    assert watched == {WIRE[kind].reason for kind in (NotAllowed, ProfileInvalid, IndexNotFound)}
    assert float(rule["expr"].rpartition(">")[2]) == 0.5, "one caller's slip is not most searches"


def test_every_route_of_searching_is_watched_for_slowness(rules: list[Rule]) -> None:
    (methods,) = [
        set(value.split("|"))
        for label, _, value in MATCHER.findall(by_name(rules, "SearchesSlow")["expr"])
        if label == "method"
    ]
    assert methods == {route.path for route in (*router.routes, *body_router.routes)}


def test_the_thresholds_of_searches_are_the_charts_values(helm: Helm) -> None:
    given = {
        "searchErrorShare": 0.11,
        "searchMisdirectedShare": 0.15,
        "searchDegradedShare": 0.12,
        "searchPartialShare": 0.13,
        "searchSeconds": 14,
    }
    found = helm.render({"search": SEARCHED, "metrics": {"prometheusRule": {"enabled": True, **given}}})
    rules = found.one("PrometheusRule")["spec"]["groups"][0]["rules"]
    for ending, value in zip(("Fail", "Misdirected", "Degraded", "Partial", "Slow"), given.values(), strict=True):
        assert float(by_name(rules, f"Searches{ending}")["expr"].rpartition(">")[2]) == value
