"""The chart as Helm renders it, with the values that it is tested with."""

from __future__ import annotations

from functools import cache

import pytest
import yaml

from tests.support.helm import CHART, Helm, Object, Rendered

VALUES = {path.name.removesuffix("-values.yaml"): path for path in sorted((CHART / "ci").glob("*-values.yaml"))}

VERSIONS = ("1.27", "1.30", "1.33", "1.37")
"""The oldest that Chart.yaml admits, the newest that there is a schema of, and two between."""

ELSEWHERE = {"ServiceMonitor", "PrometheusRule", "Certificate"}
"""Kinds of operators, which Kubernetes has no schema of."""

RENDERED: dict[str, Rendered] = {}


def values_of(name: str) -> dict[str, object]:
    return yaml.safe_load(VALUES[name].read_text(encoding="utf-8"))


def rendered(helm: Helm, name: str) -> Rendered:
    if name not in RENDERED:
        RENDERED[name] = helm.render(values_of(name))
    return RENDERED[name]


def pod_of(found: Rendered) -> Object:
    return found.one("Deployment")["spec"]["template"]


def container_of(found: Rendered) -> Object:
    return next(each for each in pod_of(found)["spec"]["containers"] if each["name"] == "sidecar")


def settings_file(found: Rendered) -> dict[str, object]:
    maps = [each for each in found.of("ConfigMap") if "settings.yaml" in each["data"]]
    assert len(maps) == 1
    return yaml.safe_load(maps[0]["data"]["settings.yaml"])


def selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return selector.items() <= labels.items()


@cache
def chart_file() -> dict[str, object]:
    return yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))


every_values = pytest.mark.parametrize("name", VALUES)
