"""Flag, environment and YAML are one thing; what is wrong is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

import sidecar
from sidecar.errors import SettingsInvalid
from sidecar.settings import READ_ELSEWHERE, Settings, load_settings, unread_variables


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("SIDECAR_"):
            monkeypatch.delenv(name)


def test_the_defaults_listen_on_loopback_only() -> None:
    settings = load_settings()
    assert (settings.bind, settings.admin_bind) == ("127.0.0.1", "127.0.0.1")
    assert (settings.grpc_port, settings.http_port, settings.admin_port) == (50_051, 8_080, 9_090)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize(("setting", "service"), [("grpc_port", "sidecar-grpc"), ("http_port", "sidecar-http")])
def test_a_port_that_kubernetes_set_for_a_service_is_told_as_such(
    monkeypatch: pytest.MonkeyPatch, setting: str, service: str, protocol: str
) -> None:
    variable = f"SIDECAR_{setting.upper()}"
    monkeypatch.setenv(variable, f"{protocol}://10.0.0.1:50051")
    with pytest.raises(SettingsInvalid) as raised:
        load_settings()
    message = raised.value.message
    assert raised.value.field == setting
    assert message.startswith(f"Setting {setting}: must be a whole number. {variable} looks like a variable that")
    assert f"Service called {service}:" in message
    assert "`enableServiceLinks: false`" in message
    assert "10.0.0.1" not in message


def test_what_somebody_wrote_is_not_put_down_to_kubernetes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDECAR_GRPC_PORT", "fifty")
    with pytest.raises(SettingsInvalid, match=r"whole number\.$"):
        load_settings()
    monkeypatch.setenv("SIDECAR_GRPC_PORT", "tcp://10.0.0.1:50051")
    assert load_settings(grpc_port=50_052).grpc_port == 50_052
    with pytest.raises(SettingsInvalid, match=r"Setting grpc_port: [^.]*\.$"):
        load_settings(grpc_port=-1)


def test_flag_beats_environment_beats_file_beats_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yaml"
    file.write_text("grpc_port: 1001\nhttp_port: 1002\nadmin_port: 1003\nmodels: [one, two]\n")
    monkeypatch.setenv("SIDECAR_CONFIG", str(file))
    monkeypatch.setenv("SIDECAR_HTTP_PORT", "2002")
    monkeypatch.setenv("SIDECAR_ADMIN_PORT", "2003")
    settings = load_settings(admin_port=3003)
    assert (settings.grpc_port, settings.http_port, settings.admin_port) == (1001, 2002, 3003)
    assert settings.models == ("one", "two")


def test_models_from_the_environment_are_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDECAR_MODELS", " a, b ,,")
    assert load_settings().models == ("a", "b")


@pytest.mark.parametrize(
    ("flags", "field"),
    [
        ({"grpc_port": 70_000}, "grpc_port"),
        ({"threads": -1}, "threads"),
        ({"log_level": "loud"}, "log_level"),
        ({"no_such_setting": 1}, "no_such_setting"),
        ({"request_timeout": 0}, "request_timeout"),
        ({"request_timeout": float("inf")}, "request_timeout"),
        ({"drain_delay": float("inf")}, "drain_delay"),
        ({"drain_grace": float("inf")}, "drain_grace"),
        ({"drain_grace": float("nan")}, "drain_grace"),
        ({"drain_grace": 1e12}, "drain_grace"),
        ({"auth_token": ""}, "auth_token"),
        ({"auth_token": " \n"}, "auth_token"),
        # What a secret made from a file, or by echo, ends with: no caller could ever send it.
        ({"auth_token": "s3cret\n"}, "auth_token"),
        ({"auth_token": " s3cret"}, "auth_token"),
        ({"auth_token": "s3\r\ncret"}, "auth_token"),
        ({"bind": ""}, "bind"),
        ({"admin_bind": " "}, "admin_bind"),
        ({"tls_certificate": ""}, "tls_certificate"),
        ({"tls_certificate": "c.pem"}, "tls_key"),
        ({"tls_key": "k.pem"}, "tls_key"),
        ({"tls_client_ca": "ca.pem"}, "tls_client_ca"),
        ({"tls_min_version": "1.1"}, "tls_min_version"),
        ({"grpc_port": 7, "http_port": 7}, "http_port"),
        ({"grpc_port": 8_080}, "http_port"),
    ],
)
def test_what_is_wrong_is_named(flags: dict[str, object], field: str) -> None:
    with pytest.raises(SettingsInvalid, match=field) as raised:
        load_settings(**flags)
    assert raised.value.field == field


def test_an_unknown_key_of_the_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yaml"
    file.write_text("grcp_port: 1001\n")
    monkeypatch.setenv("SIDECAR_CONFIG", str(file))
    with pytest.raises(SettingsInvalid, match="grcp_port"):
        load_settings()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"treads": 4}, "Setting treads: unknown key (did you mean `threads`?)."),
        ({"providers": ""}, "Setting providers: must have at least 1 item."),
        ({"log_level": "loud"}, "Setting log_level: must be one of debug, info, warning, error."),
        ({"threads": "many"}, "Setting threads: must be a whole number."),
    ],
)
def test_what_is_wrong_is_a_sentence_of_our_own(flags: dict[str, object], sentence: str) -> None:
    with pytest.raises(SettingsInvalid) as raised:
        load_settings(**flags)
    assert raised.value.message == sentence


def test_a_log_level_may_be_written_as_the_log_writes_it() -> None:
    assert load_settings(log_level="INFO").log_level == "info"


def test_a_key_that_is_in_the_file_twice_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yaml"
    file.write_text("threads: 1\nhttp_port: 1\n# more\nthreads: 2\n")
    monkeypatch.setenv("SIDECAR_CONFIG", str(file))
    with pytest.raises(SettingsInvalid, match="names threads twice; the second time in line 4") as raised:
        load_settings()
    assert raised.value.field == "threads"


def test_variables_that_nothing_reads_are_found_with_what_they_resemble(monkeypatch: pytest.MonkeyPatch) -> None:
    assert unread_variables() == {}
    for name, value in {
        "SIDECAR_TREADS": "4",
        "SIDECAR_GRCP_PORT": "5",
        "SIDECAR_XYLOPHONE": "6",
        "SIDECAR_THREADS": "2",
        "sidecar_drain_delay": "1",
        "SIDECAR_ENGINE": "http://127.0.0.1:9200",
        "SIDECAR_TARGET": "127.0.0.1:50051",
        "SIDECAR_SERVICE_HOST": "10.0.0.1",
        "SIDECAR_SERVICE_PORT_GRPC": "50051",
        "SIDECAR_PORT": "tcp://10.0.0.1:50051",
        "SIDECAR_PORT_50051_TCP_ADDR": "10.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    assert unread_variables() == {
        "SIDECAR_TREADS": "SIDECAR_THREADS",
        "SIDECAR_GRCP_PORT": "SIDECAR_GRPC_PORT",
        "SIDECAR_XYLOPHONE": None,
    }


def test_every_variable_that_a_command_reads_is_known() -> None:
    package = Path(sidecar.__file__).parent
    named = {
        name
        for file in package.rglob("*.py")
        for name in re.findall(r"\"(SIDECAR_[A-Z][A-Z_]*[A-Z])\"", file.read_text())
    }
    settings = {f"SIDECAR_{name}".upper() for name in Settings.model_fields}
    wire_reasons = {"SIDECAR_UNAVAILABLE"}
    assert {"SIDECAR_ENGINE", "SIDECAR_BUNDLES", "SIDECAR_TARGET"} <= named
    assert named <= settings | READ_ELSEWHERE | wire_reasons


def test_a_version_of_tls_may_be_a_number_as_in_yaml(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yaml"
    file.write_text("tls_min_version: 1.3\ntls_certificate: c.pem\ntls_key: k.pem\ntls_client_ca: ca.pem\n")
    monkeypatch.setenv("SIDECAR_CONFIG", str(file))
    settings = load_settings()
    assert settings.tls_min_version == "1.3"
    assert (settings.tls_certificate, settings.tls_client_ca) == (Path("c.pem"), Path("ca.pem"))


def test_a_queue_smaller_than_a_batch_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match="max_queue_tokens"):
        load_settings(max_batch_tokens=4096, max_queue_tokens=1024)


@pytest.mark.parametrize(
    ("bind", "admin_bind", "taken"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("127.0.0.1", "0.0.0.0", True),
        ("::", "127.0.0.1", True),
        ("localhost", "127.0.0.1", True),
        ("10.0.0.1", "127.0.0.1", False),
        ("0.0.0.0", "::1", False),
        ("localhost", "10.0.0.1", False),
    ],
)
def test_the_admin_port_may_have_a_data_ports_number_on_another_address(
    bind: str, admin_bind: str, taken: bool
) -> None:
    for ports in ({"grpc_port": 7}, {"http_port": 7}):
        flags = {"bind": bind, "admin_bind": admin_bind, "admin_port": 7, **ports}
        if taken:
            with pytest.raises(SettingsInvalid, match="already") as raised:
                load_settings(**flags)
            assert raised.value.field == "admin_port"
        else:
            assert load_settings(**flags).admin_port == 7


def test_any_number_of_ports_may_be_the_systems_choice() -> None:
    settings = load_settings(grpc_port=0, http_port=0, admin_port=0)
    assert (settings.grpc_port, settings.http_port, settings.admin_port) == (0, 0, 0)


def test_settings_are_frozen_and_the_token_is_hidden() -> None:
    settings = load_settings(auth_token="s3cret")
    with pytest.raises(ValidationError):
        settings.bind = "0.0.0.0"  # type: ignore[misc]
    assert "s3cret" not in repr(settings)


def test_every_setting_says_what_it_does() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
