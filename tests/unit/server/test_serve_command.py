"""`sidecar serve`: flags are the settings, the settings in force can be seen, and what is wrong is one line."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import onnxruntime
import orjson
import pytest
import trustme
import yaml
from typer.testing import CliRunner

from sidecar.cli.main import command_line
from sidecar.errors import SettingsInvalid
from sidecar.settings import Settings
from tests.support.bundles import placeholder_bundle
from tests.support.certificates import chained, issued
from tests.support.shell import typed

runner = CliRunner()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SIDECAR_")]:
        monkeypatch.delenv(name)
    # `--config` sets it; setting and deleting it here has monkeypatch take it away again afterwards.
    monkeypatch.setenv("SIDECAR_CONFIG", "")
    monkeypatch.delenv("SIDECAR_CONFIG")


@pytest.fixture(autouse=True)
def bundles(clean_environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Bundles of these names can be opened: without a good graph, since none is loaded."""
    for name in ("a", "b", "one", "two"):
        placeholder_bundle(tmp_path / "bundles" / name)
    monkeypatch.setenv("SIDECAR_BUNDLES", str(tmp_path / "bundles"))
    return tmp_path / "bundles"


def effective(*arguments: str) -> dict[str, object]:
    result = runner.invoke(command_line(), ["serve", "--check-config", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    loaded = yaml.safe_load(result.stdout)
    assert isinstance(loaded, dict)
    return loaded


def sidecar(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sidecar", "serve", *arguments], capture_output=True, text=True, timeout=60
    )


def test_check_config_shows_every_setting() -> None:
    assert list(effective()) == list(Settings.model_fields)


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (["--bind", "0.0.0.0"], "bind", "0.0.0.0"),
        (["--grpc-port", "7"], "grpc_port", 7),
        (["--http-port", "7"], "http_port", 7),
        (["--admin-bind", "::1"], "admin_bind", "::1"),
        (["--admin-port", "0"], "admin_port", 0),
        (["--ready-file", "/tmp/ready"], "ready_file", "/tmp/ready"),
        (["--models", "one, two"], "models", ["one", "two"]),
        (["--auth-token", "secret"], "auth_token", "**********"),
        (["--no-tls-http-mutual"], "tls_http_mutual", False),
        (["--tls-min-version", "1.3"], "tls_min_version", "1.3"),
        (["--no-reflection"], "reflection", False),
        (["--threads", "3"], "threads", 3),
        (["--max-batch-tokens", "99"], "max_batch_tokens", 99),
        (["--max-queue-tokens", "99999"], "max_queue_tokens", 99_999),
        (["--max-texts", "9"], "max_texts", 9),
        (["--max-text-bytes", "9"], "max_text_bytes", 9),
        (["--max-request-bytes", "9999"], "max_request_bytes", 9_999),
        (["--request-timeout", "1.5"], "request_timeout", 1.5),
        (["--drain-delay", "1.5"], "drain_delay", 1.5),
        (["--drain-grace", "1.5"], "drain_grace", 1.5),
        (["--grpc-max-connection-age", "300"], "grpc_max_connection_age", 300.0),
        (["--grpc-max-connection-age-grace", "1.5"], "grpc_max_connection_age_grace", 1.5),
        (["--http-max-connection-age", "300"], "http_max_connection_age", 300.0),
        (["--log-level", "debug"], "log_level", "debug"),
        (["--no-log-json"], "log_json", False),
    ],
)
def test_every_setting_is_a_flag(arguments: list[str], name: str, value: object) -> None:
    assert effective(*arguments)[name] == value


def test_no_setting_is_without_a_flag_of_its_name() -> None:
    text = runner.invoke(command_line(), ["serve", "--help"], env={"COLUMNS": "200"}).stdout
    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-')}" in text
        assert f"SIDECAR_{name.upper()}" in text
        assert field.description
    assert "--config" in text


def test_the_token_is_not_shown() -> None:
    result = runner.invoke(command_line(), ["serve", "--check-config", "--auth-token", "hunter2"])
    assert "hunter2" not in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--models", "one,nosuch"), "No bundle is called nosuch"),
        (("--models", "damaged"), "model.onnx has sha256"),
        pytest.param(
            *(("--providers", "openvino,cpu"), "no openvino provider; available: cpu"),
            marks=pytest.mark.skipif(
                "OpenVINOExecutionProvider" in onnxruntime.get_available_providers(), reason="it is here"
            ),
        ),
    ],
)
def test_check_config_opens_the_bundles_and_looks_for_the_providers(
    bundles: Path, arguments: tuple[str, str], said: str
) -> None:
    placeholder_bundle(bundles / "damaged")
    (bundles / "damaged" / "model.onnx").write_bytes(b"changed")
    done = typed("serve", "--check-config", *arguments, code=1)
    assert said in done.stderr
    assert "grpc_port: 50051" in done.stdout, "what is in force is shown all the same"


def test_check_config_looks_at_the_certificates(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate, key = issued(authority).write(tmp_path, "server")
    flags = ("serve", "--check-config", "--models", "one", "--tls-certificate", str(certificate), "--tls-key")
    assert f"tls_certificate: {certificate}" in typed(*flags, str(key)).stdout
    _, other = issued(authority).write(tmp_path, "other")
    refused = typed(*flags, str(other), code=1).stderr
    assert "does not fit" in refused
    assert "Traceback" not in refused
    absent = typed(*flags, str(tmp_path / "absent.key"), code=1).stderr
    assert "absent.key can't be read: No such file" in absent


def test_a_variable_that_nothing_reads_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDECAR_TREADS", "4")
    done = typed("serve", "--check-config", "--models", "one")
    assert "environment variable SIDECAR_TREADS; did you mean SIDECAR_THREADS?" in done.stderr
    ports = ("--grpc-port", "0", "--http-port", "0", "--admin-port", "0")
    logged, _ = sidecar("--log-level", "warning", "--models", "no-such-bundle", *ports).stderr.strip().splitlines()
    line = orjson.loads(logged)
    assert (line["name"], line["meant"]) == ("SIDECAR_TREADS", "SIDECAR_THREADS")


def test_what_is_shown_can_be_read_again(tmp_path: Path) -> None:
    first = effective("--grpc-port", "7", "--models", "a,b", "--no-reflection", "--drain-grace", "3")
    file = tmp_path / "sidecar.yaml"
    file.write_text(yaml.safe_dump(first))
    assert effective("--config", str(file)) == first
    assert effective("--config", str(file), "--grpc-port", "8")["grpc_port"] == 8


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (None, "can't be read"),
        ("grpc_port: [1", "no valid YAML"),
        ("- a", "name: value"),
        ("no_such_setting: 1", "no_such_setting"),
        ("grpc_port: many", "grpc_port"),
        ("threads: 1\nlog_level: 2024-13-45", "no valid YAML at line 2, column 12."),
        ("auth_token: !!timestamp foo", "no valid YAML at line 1, column 13."),
        ("reflection: !!bool foo", "no valid YAML at line 1, column 13."),
        ("auth_token: *secret", "no valid YAML at line 1, column 13."),
        ("models: " + "[" * 5_000, "no valid YAML"),
        ("threads: 1\n2: 3", "no setting's name in line 2"),
    ],
)
def test_a_bad_file_is_one_clear_line(tmp_path: Path, content: str | None, part: str) -> None:
    file = tmp_path / "sidecar.yaml"
    if content is not None:
        file.write_text(content)
    done = sidecar("--config", str(file), "--check-config")
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert part in done.stderr


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yaml"
    file.write_text("")
    assert effective("--config", str(file)) == effective()


@pytest.mark.parametrize("flag", ["--grpc-port", "--http-port", "--admin-port"])
def test_a_port_in_use_is_one_clear_line_and_exit_code_1(flag: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = {"--grpc-port": "0", "--http-port": "0", "--admin-port": "0", flag: str(port)}
        done = sidecar("--log-level", "error", *[part for pair in ports.items() for part in pair])
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert str(port) in line
    assert flag.removeprefix("--").replace("-", "_") in line
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("flag", ["--bind", "--admin-bind"])
def test_an_address_that_is_not_ours_is_one_clear_line(flag: str) -> None:
    # 192.0.2.0/24 is for documentation (RFC 5737): no machine has it.
    done = sidecar(
        "--log-level", "error", flag, "192.0.2.1", "--grpc-port", "9", "--http-port", "10", "--admin-port", "0"
    )
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "192.0.2.1" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_before_anything_is_imported_is_not_lost(tmp_path: Path, number: signal.Signals) -> None:
    # In the place of a library that the server imports: one that takes its time.
    (tmp_path / "uvicorn.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    # Whatever the tests were started by, SIGHUP is not ignored.
    code = "import runpy, signal; signal.signal(1, signal.SIG_DFL); runpy.run_module('sidecar', run_name='__main__')"
    command = [sys.executable, "-c", code, "serve", "--models", "one"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"importing\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=60.0)
    # Without a handler it would be minus the number, and process 1 of a container would not end at all.
    assert (process.returncode, said) == (0, b"")


def test_an_unknown_bundle_is_one_clear_line() -> None:
    ports = ("--grpc-port", "0", "--http-port", "0", "--admin-port", "0")
    done = sidecar("--log-level", "error", "--models", "no-such-bundle", *ports)
    assert done.returncode == 1
    assert "no-such-bundle" in done.stderr
    assert "Traceback" not in done.stderr


def test_check_config_tells_of_a_chain_that_has_expired(tmp_path: Path) -> None:
    certificate, key = chained(trustme.CA(), timedelta(hours=-1)).write(tmp_path, "server")
    files = ("--tls-certificate", str(certificate), "--tls-key", str(key))
    told = typed("serve", "--check-config", "--models", "one", *files).stderr
    assert told.startswith(f"warning: {certificate}: a certificate that follows the server's own has expired")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--grpc-port", "7", "--http-port", "7"], "Setting http_port: 7 is the grpc_port already"),
        (["--http-port", "7", "--admin-port", "7"], "Setting admin_port: 7 is the http_port already"),
        (["--auth-token", ""], "Setting auth_token: must not be empty."),
        (["--drain-grace", "inf"], "Setting drain_grace"),
    ],
)
def test_check_config_refuses_what_serving_would_trip_over(arguments: list[str], said: str) -> None:
    result = runner.invoke(command_line(), ["serve", "--check-config", *arguments])
    assert isinstance(result.exception, SettingsInvalid)
    assert said in result.exception.message


def test_a_token_that_is_set_and_empty_does_not_open_the_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDECAR_AUTH_TOKEN", "")
    result = runner.invoke(command_line(), ["serve", "--check-config"])
    assert isinstance(result.exception, SettingsInvalid)
    assert result.exception.field == "auth_token"
