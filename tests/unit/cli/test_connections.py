"""The options by which a command finds cluster and sidecar: what the command gets, and where they stand."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from sidecar.cli.connections import ClusterAddress, SidecarAddress, with_addresses
from sidecar.cli.main import command_line
from sidecar.errors import InvalidInput

CREDENTIALS = ["user", "password", "api_key", "aws_region", "aws_service", "ca", "insecure", "token"]
CREDENTIALS += ["sidecar_ca", "sidecar_tls", "sidecar_name", "sidecar_cert", "sidecar_key"]
given: list[tuple[str, ClusterAddress, SidecarAddress | None, bool]] = []


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    given.clear()
    for name in ("SIDECAR_ENGINE", "SIDECAR_TARGET", "SIDECAR_ENGINE_AWS_REGION", "SIDECAR_ENGINE_AWS_SERVICE"):
        monkeypatch.delenv(name, raising=False)

    @with_addresses
    def both(
        index: Annotated[str, typer.Option("--index")],
        cluster: ClusterAddress,
        encoder: SidecarAddress,
        quick: Annotated[bool, typer.Option("--quick")] = False,
    ) -> None:
        """Needs both."""
        given.append((index, cluster, encoder, quick))

    @with_addresses
    def alone(index: Annotated[str, typer.Option("--index")] = "i", *, cluster: ClusterAddress) -> None:
        """Needs the cluster."""
        given.append((index, cluster, None, False))

    made = typer.Typer()
    made.command()(both)
    made.command()(alone)
    return made


def test_a_command_gets_addresses(app: typer.Typer, tmp_path: Path) -> None:
    arguments = ["both", "--index", "i", "--engine", "https://a:1", "--user", "u", "--password", "p", "--insecure"]
    more = ["--ca", "ca.pem", "--sidecar", "b:2", "--token", "t", "--sidecar-ca", "s.pem", "--quick"]
    assert CliRunner().invoke(app, [*arguments, *more]).exit_code == 0
    cluster = ClusterAddress("https://a:1", "u", "p", Path("ca.pem"), insecure=True)
    assert given == [("i", cluster, SidecarAddress("b:2", "t", Path("s.pem")), True)]


def test_requests_may_be_signed_for_aws(app: typer.Typer) -> None:
    flags = ["--engine", "https://a:1", "--aws-region", "eu-central-1", "--aws-service", "aoss"]
    assert CliRunner().invoke(app, ["alone", *flags]).exit_code == 0
    environment = {
        "SIDECAR_ENGINE": "https://a:1",
        "SIDECAR_ENGINE_AWS_REGION": "eu-central-1",
        "SIDECAR_ENGINE_AWS_SERVICE": "aoss",
    }
    assert CliRunner().invoke(app, ["alone"], env=environment).exit_code == 0
    signed = ClusterAddress("https://a:1", aws_region="eu-central-1", aws_service="aoss")
    assert [cluster for _, cluster, _, _ in given] == [signed, signed]


def test_a_sidecar_may_want_a_certificate_and_have_another_name(app: typer.Typer) -> None:
    wanted = SidecarAddress("b:2", None, Path("s.pem"), True, "other.test", Path("c.pem"), Path("k.pem"))
    flags = ["--sidecar", "b:2", "--sidecar-ca", "s.pem", "--sidecar-tls", "--sidecar-name", "other.test"]
    both = ["both", "--index", "i"]
    assert CliRunner().invoke(app, [*both, *flags, "--sidecar-cert", "c.pem", "--sidecar-key", "k.pem"]).exit_code == 0
    environment = {
        "SIDECAR_TARGET": "b:2",
        "SIDECAR_CA": "s.pem",
        "SIDECAR_TLS": "true",
        "SIDECAR_SERVER_NAME": "other.test",
        "SIDECAR_CLIENT_CERT": "c.pem",
        "SIDECAR_CLIENT_KEY": "k.pem",
    }
    assert CliRunner().invoke(app, both, env=environment).exit_code == 0
    assert [encoder for _, _, encoder, _ in given] == [wanted, wanted]


def test_files_for_the_sidecar_that_can_not_be_used_are_named(tmp_path: Path) -> None:
    absent, nonsense = tmp_path / "absent.pem", tmp_path / "nonsense.pem"
    nonsense.write_text("no PEM")
    for address in (SidecarAddress("b:2", ca=absent), SidecarAddress("b:2", cert=absent, key=absent)):
        with pytest.raises(InvalidInput, match=r"absent.pem can't be read"):
            address.client()
    for address in (SidecarAddress("b:2", ca=nonsense), SidecarAddress("b:2", cert=nonsense, key=nonsense)):
        with pytest.raises(InvalidInput, match="can't be used"):
            address.https()
    assert SidecarAddress("b:2").https() is None


def test_addresses_have_defaults_and_come_from_the_environment(app: typer.Typer) -> None:
    assert CliRunner().invoke(app, ["alone"]).exit_code == 0
    environment = {"SIDECAR_ENGINE": "http://e:1", "SIDECAR_TARGET": "s:2", "SIDECAR_AUTH_TOKEN": "secret"}
    assert CliRunner().invoke(app, ["both", "--index", "i"], env=environment).exit_code == 0
    assert given == [
        ("i", ClusterAddress("http://127.0.0.1:9200"), None, False),
        ("i", ClusterAddress("http://e:1"), SidecarAddress("s:2", "secret"), False),
    ]


def test_addresses_stand_where_their_parameters_stood_and_credentials_last(app: typer.Typer) -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    shown = [option.name for option in commands["both"].params]
    assert shown == ["index", "engine", "sidecar", "quick", *CREDENTIALS]
    assert [option.name for option in commands["alone"].params] == ["index", "engine", *CREDENTIALS[:7]]
    assert commands["alone"].help == "Needs the cluster."


def test_a_sidecar_s_option_is_none_of_a_command_without_one(app: typer.Typer) -> None:
    assert CliRunner().invoke(app, ["alone", "--token", "t"]).exit_code == 2
    assert not given


@pytest.mark.parametrize("name", ["setup", "index", "frequencies", "reconcile", "retry", "search", "doctor"])
def test_every_command_at_a_cluster_ends_with_the_same_options(name: str) -> None:
    command = get_command(command_line()).commands[name]  # type: ignore[attr-defined]
    shown = [option.name for option in command.params]
    assert shown[-len(CREDENTIALS) :] == CREDENTIALS
    assert shown.index("engine") == shown.index("sidecar") - 1
    assert not {"cluster", "encoder"} & set(shown)
    assert inspect.signature(command.callback).return_annotation in {None, "None", inspect.Signature.empty}
