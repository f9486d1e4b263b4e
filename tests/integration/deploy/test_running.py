"""Command lines of the chart, the image and the Compose file, as they stand there, at a real sidecar and cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
import pytest
import trustme
import yaml

from sidecar.server.process import SidecarProcess
from tests.support.deployment import COMPOSE, Stage, stages
from tests.support.helm import Helm
from tests.support.nodes import Node

pytestmark = pytest.mark.integration

BIN = Path(sys.executable).parent

A_PROXY = {"http_proxy": "http://127.0.0.1:9", "no_proxy": ""}
"""What Docker puts into containers where its client has a proxy; nobody answers at this one."""


def run(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SIDECAR_")}
    return subprocess.run(
        list(command),
        env={**inherited, "PATH": f"{BIN}:{os.environ['PATH']}", **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def check_command(helm: Helm, values: Mapping[str, object]) -> list[str]:
    """Return what the pod of `helm test` runs."""
    container = helm.render(values).one("Pod")["spec"]["containers"][0]
    return [*container["command"], *container["args"]]


def test_the_test_pod_has_every_model_do_its_work(helm: Helm, sidecar_process: SidecarProcess) -> None:
    done = run(check_command(helm, {}), {"SIDECAR_TARGET": sidecar_process.target})
    assert done.returncode == 0, done.stderr
    assert "3 models answer" in done.stdout
    assert "2 documents reranked" in done.stdout


def test_the_test_pod_shows_the_token(helm: Helm, tiny_bundles: tuple[Path, ...]) -> None:
    command = check_command(helm, {"auth": {"existingSecret": "token"}})
    with SidecarProcess(tiny_bundles, settings={"threads": 1}, token="let-me-in") as sidecar:
        shown = run(command, {"SIDECAR_TARGET": sidecar.target, "SIDECAR_AUTH_TOKEN": "let-me-in"})
        assert shown.returncode == 0, shown.stderr
        assert run(command, {"SIDECAR_TARGET": sidecar.target}).returncode == 1


def test_the_test_pod_trusts_the_authority_it_is_given(
    helm: Helm, tiny_bundles: tuple[Path, ...], tmp_path: Path
) -> None:
    authority = trustme.CA()
    pair = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    pair.private_key_pem.write_to_path(str(tmp_path / "tls.key"))
    for part in pair.cert_chain_pems:
        part.write_to_path(str(tmp_path / "tls.crt"), append=True)
    settings = {"threads": 1, "tls_certificate": tmp_path / "tls.crt", "tls_key": tmp_path / "tls.key"}
    with SidecarProcess(tiny_bundles, settings=settings) as sidecar:
        environment = {"SIDECAR_TARGET": sidecar.target, "SIDECAR_CA": str(tmp_path / "ca.crt")}
        done = run(check_command(helm, {"tls": {"existingSecret": "pair"}}), environment)
        assert done.returncode == 0, done.stderr
        # What the kubelet asks stays in plaintext.
        for path in ("/livez", "/readyz", "/startupz"):
            assert httpx.get(f"{sidecar.admin_url}{path}").status_code == 200


def test_the_images_health_check_asks_the_admin_port(sidecar_process: SidecarProcess) -> None:
    healthcheck = stages()["runtime"].last("HEALTHCHECK").partition(" CMD ")[2]
    command = Stage("", "", [("CMD", healthcheck)]).words("CMD")
    port = sidecar_process.admin_url.rpartition(":")[2]
    for proxy in ({}, A_PROXY):
        assert run(command, {"SIDECAR_ADMIN_PORT": port, **proxy}).returncode == 0
    assert run(command, {"SIDECAR_ADMIN_PORT": "1"}).returncode == 1


def test_compose_asks_the_same(sidecar_process: SidecarProcess) -> None:
    kind, *command = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]["sidecar"]["healthcheck"]["test"]
    assert kind == "CMD"
    real = sidecar_process.admin_url.removeprefix("http://")
    assert run([part.replace("127.0.0.1:9090", real) for part in command], A_PROXY).returncode == 0


def test_composes_setup_gives_the_index_its_fields_once(opensearch: Node, sidecar_process: SidecarProcess) -> None:
    setup = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]["setup"]
    words = [part.replace("${SIDECAR_INDEX:-documents}", "compose-documents") for part in setup["command"]]
    environment = dict(each.partition("=")[::2] for each in setup["environment"] if "=" in each)
    assert environment == {"SIDECAR_ENGINE": "http://opensearch:9200", "SIDECAR_TARGET": "sidecar:50051"}
    real = {"SIDECAR_ENGINE": opensearch.url, "SIDECAR_TARGET": sidecar_process.target}
    try:
        first = run([*stages()["runtime"].words("ENTRYPOINT"), *words], real)
        assert first.returncode == 0, first.stderr
        mapping = httpx.get(f"{opensearch.url}/compose-documents/_mapping").json()
        assert "splade" in mapping["compose-documents"]["mappings"]["properties"]
        again = run([*stages()["runtime"].words("ENTRYPOINT"), *words], real)
        assert (again.returncode, "nothing to do" in again.stdout + again.stderr) == (0, True)
    finally:
        httpx.delete(f"{opensearch.url}/compose-documents")
