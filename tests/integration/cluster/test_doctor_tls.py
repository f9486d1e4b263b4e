"""`sidecar doctor` at a sidecar that speaks TLS, with certificates that have expired or are about to."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest
import trustme

from sidecar.engine import Engine
from sidecar.server.process import SidecarProcess
from tests.integration.cluster.test_doctor import sound
from tests.support.certificates import authority_pem, chained
from tests.support.nodes import Node
from tests.support.shell import typed

pytestmark = pytest.mark.integration

INDEX = "test-doctor-tls"


@pytest.mark.parametrize(
    ("left", "severity"),
    [(timedelta(days=3), "warning"), (timedelta(hours=-1), "error")],
    ids=["soon", "expired"],
)
def test_the_command_tells_of_a_certificate_whether_or_not_a_call_comes_of_it(
    opensearch: Node, tiny_bundles: tuple[Path, ...], tmp_path: Path, left: timedelta, severity: str
) -> None:
    async def prepare() -> None:
        async with await Engine.connect(opensearch.url) as engine:
            await engine.delete_index(INDEX, missing_ok=True)
            await sound(engine, INDEX)

    asyncio.run(prepare())
    authority = trustme.CA()
    certificate, key = chained(authority, left).write(tmp_path, "server")
    (tmp_path / "ca.crt").write_bytes(authority_pem(authority))
    settings = {"threads": 1, "tls_certificate": certificate, "tls_key": key}
    with SidecarProcess(tiny_bundles[:1], settings=settings) as process:
        # By the name that is in the certificate, as gRPC compares it.
        target = process.target.replace("127.0.0.1", "localhost")
        told = typed(
            *("doctor", "--index", INDEX, "--engine", opensearch.url, "--json"),
            *("--sidecar", target, "--http", process.http_url, "--sidecar-ca", str(tmp_path / "ca.crt")),
            code=None,
        )
    found = json.loads(told.stdout)["findings"]
    checks = [one for one in found if one["check"] == "certificate"]
    assert [one["severity"] for one in checks] == [severity] * 2
    assert all("intermediate 0" in one["what"] for one in checks)
    # What can't be called has no model to compare, and no routes; what can be called is compared.
    assert ("connector" in {one["check"] for one in found}) is (severity == "error")
    assert ("fingerprint" in {one["check"] for one in found}) is (severity == "warning")
