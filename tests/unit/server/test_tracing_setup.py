"""What opentelemetry's variables say of the collector: refused before the start where nothing would ever arrive."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.errors import SettingsInvalid
from sidecar.server.tracing.setup import checked_endpoint
from sidecar.settings import Settings, load_settings

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.mark.parametrize(
    ("variables", "endpoint"),
    [
        ({}, "http://localhost:4317"),
        ({ENDPOINT: "http://collector:4317"}, "http://collector:4317"),
        ({ENDPOINT: "https://[::1]:4317/"}, "https://[::1]:4317"),
        ({ENDPOINT: "http://one:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://two:2"}, "http://two:2"),
        ({ENDPOINT: "  "}, "http://localhost:4317"),
        ({ENDPOINT: "https://kim:hunter2@collector:4317"}, "https://collector:4317"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TIMEOUT": "2.5"}, "http://localhost:4317"),
    ],
)
def test_where_spans_go(variables: dict[str, str], endpoint: str) -> None:
    assert checked_endpoint(variables) == endpoint


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        (ENDPOINT, "collector:4317"),
        (ENDPOINT, "http://"),
        (ENDPOINT, "http://collector:port"),
        (ENDPOINT, "http://collector:0"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "unix:///tmp/otlp"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem"),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "/nowhere/key.pem"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
    ],
)
def test_what_would_never_work_is_refused_by_its_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsInvalid, match=name) as raised:
        checked_endpoint({name: value})
    assert raised.value.field == "tracing"


@pytest.mark.parametrize("given", ["off", "OFF", False])
def test_off_is_off_in_yaml_too(given: object) -> None:
    assert load_settings(tracing=given).tracing == "off"
    assert Settings().tracing == "off"


def test_off_in_a_settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "settings.yaml"
    monkeypatch.setenv("SIDECAR_CONFIG", str(file))
    for text, chosen in (("tracing: off", "off"), ("tracing: otlp", "otlp")):
        file.write_text(text)
        assert load_settings().tracing == chosen


@pytest.mark.parametrize("given", ["on", "jaeger", "", True])
def test_what_is_no_choice_is_refused(given: object) -> None:
    with pytest.raises(SettingsInvalid, match="off, otlp"):
        load_settings(tracing=given)


def test_without_the_extra_the_start_says_what_to_install() -> None:
    """As where opentelemetry's SDK is not installed: Python takes a module that is None for one that is missing."""
    code = "import sys; sys.modules['opentelemetry.sdk'] = None; from sidecar.cli.main import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", code, "serve", "--tracing", "otlp", "--grpc-port", "0", "--http-port", "0"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert "pip install 'splade-sidecar[tracing]'" in ended.stderr
    assert "Traceback" not in ended.stderr
