"""The Compose file: valid, and in step with image and settings."""

from __future__ import annotations

import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
import yaml

from sidecar import __version__
from sidecar.settings import Settings
from tests.support.deployment import COMPOSE, DOCKERFILE, known_variable, settings_of
from tests.support.shell import typed

SERVICES = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
OURS = ("sidecar", "setup")


def schema_check(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True)


def environment(service: str) -> dict[str, str]:
    return dict(each.partition("=")[::2] for each in SERVICES[service]["environment"])


def test_the_compose_specification_has_nothing_against_it(tmp_path: Path) -> None:
    done = schema_check(COMPOSE)
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(COMPOSE.read_text(encoding="utf-8").replace("depends_on:", "depend_on:"), encoding="utf-8")
    assert schema_check(wrong).returncode == 1


def test_nothing_is_published_but_on_the_loopback_interface() -> None:
    published = list(chain.from_iterable(service.get("ports", ()) for service in SERVICES.values()))
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_sidecars_ports_are_its_settings() -> None:
    ports = {int(port.rpartition(":")[2]) for port in SERVICES["sidecar"]["ports"]}
    assert ports == {Settings.model_fields[name].default for name in ("grpc_port", "http_port", "admin_port")}


@pytest.mark.parametrize("service", OURS)
def test_every_variable_is_one_that_something_reads(service: str) -> None:
    assert all(map(known_variable, environment(service)))
    # A token that is set and empty is refused: it has to be named without a value.
    assert "SIDECAR_AUTH_TOKEN" in SERVICES[service]["environment"]


@pytest.mark.parametrize("service", OURS)
def test_both_run_the_image_confined(service: str) -> None:
    found = SERVICES[service]
    assert found["image"] == f"splade-sidecar:{__version__}"
    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert found["tmpfs"] == ["/tmp"]


def test_the_image_is_built_from_the_dockerfile() -> None:
    build = SERVICES["sidecar"]["build"]
    context = (COMPOSE.parent / build["context"]).resolve()
    assert (context / build["dockerfile"]).resolve() == DOCKERFILE


def test_setup_waits_for_both_and_runs_once() -> None:
    setup = SERVICES["setup"]
    assert {name: each["condition"] for name, each in setup["depends_on"].items()} == {
        "opensearch": "service_healthy",
        "sidecar": "service_healthy",
    }
    for name in setup["depends_on"]:
        assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
    assert setup["restart"] == "no"
    options = typed("setup", "--help").stdout
    assert all(word in options for word in setup["command"] if word.startswith("--"))
    # What the image checks is a server, which this one is not.
    assert setup["healthcheck"] == {"disable": True}


def test_the_sidecar_gets_the_time_it_drains_in() -> None:
    settings = {**{name: Settings.model_fields[name].default for name in ("drain_delay", "drain_grace")}}
    given = settings_of(environment("sidecar"))
    took = sum(float(given.get(name, default)) for name, default in settings.items())
    assert float(SERVICES["sidecar"]["stop_grace_period"].removesuffix("s")) > took
    assert float(given["drain_grace"]) >= Settings.model_fields["request_timeout"].default


def test_opensearch_has_what_it_asks_of_a_machine() -> None:
    found = SERVICES["opensearch"]
    assert found["image"].startswith("opensearchproject/opensearch:")
    assert found["environment"]["discovery.type"] == "single-node"
    assert found["ulimits"]["memlock"] == {"soft": -1, "hard": -1}
    assert SERVICES["dashboards"]["profiles"] == ["dashboards"]
    version = found["image"].rpartition(":")[2]
    assert SERVICES["dashboards"]["image"].endswith(f":{version}")
