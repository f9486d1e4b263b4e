"""What is shown to the cluster is replaced while the sidecar runs: new connections show it, and no search fails."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from structlog.testing import capture_logs

from sidecar.engine import Engine
from sidecar.server.searching import connection as module
from sidecar.server.searching.access import ClusterAccess
from sidecar.server.searching.connection import Connection
from tests.support.certificates import Identity, Secret, authority_pem, issued
from tests.support.loopback import listening

ROOT = {"version": {"distribution": "opensearch", "number": "3.0.0"}}
REPLACED = "certificates for the cluster replaced"
STAYS = "the cluster's new certificates are not taken, the old ones stay"


@dataclass
class Cluster:
    """Says what it is, to whoever shows a certificate; `shown` holds the serial numbers, in the order of requests."""

    url: str = ""
    shown: list[int] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        transport = request.transport
        assert transport is not None
        self.shown.append(int(transport.get_extra_info("peercert")["serialNumber"], 16))
        return web.json_response(ROOT)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secret(authority: trustme.CA, tmp_path: Path) -> Secret:
    return Secret(tmp_path / "secret", issued(authority), authority_pem(authority))


@asynccontextmanager
async def cluster_of(authority: trustme.CA, *clients: trustme.CA) -> AsyncIterator[Cluster]:
    """A cluster that believes certificates of `authority`, or of `clients` where there are any."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    context.verify_mode = ssl.CERT_REQUIRED
    for believed in clients or (authority,):
        believed.configure_trust(context)
    cluster = Cluster()
    async with listening(cluster.handle, tls=context) as cluster.url:
        yield cluster


def showing(cluster: Cluster, secret: Secret) -> ClusterAccess:
    return ClusterAccess(
        cluster.url, ca=secret.authorities, client_certificate=secret.certificate, client_key=secret.key
    )


async def looked_twice(connection: Connection) -> Engine:
    for _ in range(2):
        await connection.look()
    return await connection.engine()


async def test_a_renewed_certificate_is_shown_without_a_restart(authority: trustme.CA, secret: Secret) -> None:
    old, new = issued(authority), issued(authority)
    secret.replace(old, authority_pem(authority))
    async with cluster_of(authority) as cluster:
        connection = Connection(showing(cluster, secret))
        before = await connection.engine()
        assert await looked_twice(connection) is before, "nothing is made anew while nothing is new"
        secret.replace(new, authority_pem(authority))
        await connection.look()
        assert await connection.engine() is before, "what was found once may be half of it"
        with capture_logs() as lines:
            await connection.look()
        assert [line["event"] for line in lines] == [REPLACED]
        after = await connection.engine()
        assert after is not before
        await after.read("GET", "/")
        assert cluster.shown == [old.serial, new.serial, new.serial]
        await before.read("GET", "/")
        assert cluster.shown[-1] == old.serial, "a search that is under way goes on over what it began with"
        await connection.close()


async def test_the_authority_of_the_cluster_may_be_another_too(
    authority: trustme.CA, secret: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.02)
    async with cluster_of(authority) as cluster:
        connection = Connection(showing(cluster, secret))
        connection.open()
        before = await connection.engine()
        renewed = issued(authority)
        secret.replace(renewed, authority_pem(trustme.CA()) + authority_pem(authority))
        async with asyncio.timeout(30.0):
            while await connection.engine() is before:
                await asyncio.sleep(0.01)
        assert cluster.shown[-1] == renewed.serial
        await connection.close()


@pytest.mark.parametrize("flaw", ["of others", "key of another", "no PEM", "gone"])
async def test_what_is_of_no_use_leaves_the_old_in_force(authority: trustme.CA, secret: Secret, flaw: str) -> None:
    good = issued(authority)
    useless = {
        "of others": issued(trustme.CA()),
        "key of another": Identity(issued(authority).certificate, issued(authority).key),
        "no PEM": Identity(b"certificate", b"key"),
        "gone": good,
    }
    async with cluster_of(authority) as cluster:
        connection = Connection(showing(cluster, secret))
        before = await connection.engine()
        if flaw == "gone":
            secret.key.resolve().unlink()
        else:
            secret.replace(useless[flaw], authority_pem(authority))
        with capture_logs() as lines:
            for _ in range(3):
                assert await looked_twice(connection) is before
        assert [line["event"] for line in lines].count(STAYS) == 1, "once a minute"
        assert "PRIVATE KEY" not in str(lines)
        await before.read("GET", "/")
        secret.replace(good, authority_pem(authority))
        assert await looked_twice(connection) is not before
        assert cluster.shown[-1] == good.serial
        await connection.close()


async def test_a_password_that_is_changed_at_the_same_time_wins(authority: trustme.CA, secret: Secret) -> None:
    new = issued(authority)
    async with cluster_of(authority) as cluster:
        connection = Connection(showing(cluster, secret))
        before = await connection.engine()
        secret.replace(new, authority_pem(authority))
        await connection.look()
        _, _, after = await asyncio.gather(connection.look(), connection.renew(before), connection.engine())
        assert await connection.engine() is not before
        # Whichever was first, what is in force is found out by looking.
        await looked_twice(connection)
        await (await connection.engine()).read("GET", "/")
        assert cluster.shown[-1] == new.serial
        assert after is not None
        await connection.close()


async def test_without_certificates_nothing_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)

    async def root(request: web.Request) -> web.Response:
        return web.json_response(ROOT)

    async with listening(root) as url:
        connection = Connection(ClusterAccess(url))
        tasks = len(asyncio.all_tasks())
        connection.open()
        assert len(asyncio.all_tasks()) == tasks + 1, "the attempt alone"
        await connection.engine()
        await connection.close()
