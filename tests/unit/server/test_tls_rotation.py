"""New certificates are taken when they are good, and only then; what is bad is said once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme
from structlog.testing import capture_logs

from sidecar.errors import SettingsInvalid
from sidecar.server import metrics
from sidecar.server.tls import Tls, rotation
from sidecar.settings import Settings
from tests.support.certificates import Identity, Secret, authority_pem, chained, issued

AUTHORITY = trustme.CA()


@pytest.fixture
def secret(tmp_path: Path) -> Secret:
    return Secret(tmp_path / "tls", issued(AUTHORITY, days=30), authority_pem(AUTHORITY))


@pytest.fixture
def tls(secret: Secret) -> Iterator[Tls]:
    settings = Settings(tls_certificate=secret.certificate, tls_key=secret.key, tls_client_ca=secret.authorities)
    loaded = Tls.load(settings)
    assert loaded is not None
    yield loaded
    metrics.describe_certificates({})


def expiry(certificate: str) -> float | None:
    return metrics.REGISTRY.get_sample_value(
        "sidecar_tls_certificate_expiration_timestamp_seconds", {"certificate": certificate}
    )


def test_without_tls_there_is_no_expiry_that_an_alert_could_take_for_one() -> None:
    assert Tls.load(Settings()) is None
    assert expiry("server") is None


def test_what_has_not_changed_is_not_taken_again(tls: Tls) -> None:
    before = tls.current
    with capture_logs() as logs:
        tls.look()
    assert tls.current is before
    assert logs == []


def test_a_new_pair_is_taken_whole_and_its_expiry_published(tls: Tls, secret: Secret) -> None:
    before = tls.http()
    assert expiry("server") == tls.current.expires_at
    new = issued(AUTHORITY, days=60)
    later = trustme.CA()
    secret.replace(new, authority_pem(later))
    with capture_logs() as logs:
        tls.look()
        tls.look()
    assert tls.current.contents.certificate == new.certificate
    assert tls.current.contents.client_ca == authority_pem(later)
    # A context of its own: one that also trusted the authority of before would let its clients in for ever.
    assert tls.http() is not before
    assert len(tls.http().get_ca_certs()) == 1
    assert expiry("server") == new.expires_at
    assert expiry("client_ca") == tls.current.client_ca_expires_at
    assert [line["event"] for line in logs] == ["certificate replaced"]


def test_a_bad_pair_is_not_taken_and_said_once_as_long_as_it_lasts(tls: Tls, secret: Secret) -> None:
    before = tls.current
    good = issued(AUTHORITY)
    secret.replace(Identity(good.certificate, issued(AUTHORITY).key), authority_pem(AUTHORITY))
    with capture_logs() as logs:
        for _ in range(5):
            tls.look()
    assert tls.current is before
    (line,) = logs
    assert line["log_level"] == "warning"
    assert "does not fit" in line["reason"]
    assert expiry("server") == before.expires_at

    secret.replace(good, authority_pem(AUTHORITY))
    tls.look()
    assert tls.current.contents.certificate == good.certificate
    secret.replace(Identity(b"", good.key), authority_pem(AUTHORITY))
    with capture_logs() as logs:
        for _ in range(3):
            tls.look()
    assert len(logs) == 1, "another trouble later is said again"


def test_two_files_that_are_copied_one_after_the_other_are_no_trouble(tls: Tls, secret: Secret) -> None:
    new = issued(AUTHORITY)
    secret.replace(Identity(new.certificate, tls.current.contents.key), authority_pem(AUTHORITY))
    with capture_logs() as logs:
        tls.look()
        secret.replace(new, authority_pem(AUTHORITY))
        tls.look()
    assert [line["event"] for line in logs] == ["certificate replaced"]


def test_files_that_are_gone_change_nothing(tls: Tls, secret: Secret) -> None:
    before = tls.current
    secret.key.unlink()
    with capture_logs() as logs:
        tls.look()
        tls.look()
    assert tls.current is before
    assert "can't be read" in logs[0]["reason"]


def test_a_certificate_that_expires_under_way_is_said_once(
    tls: Tls, secret: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as later, capture_logs() as logs:
        later.setattr(rotation, "time", SimpleNamespace(time=lambda: tls.current.expires_at))
        tls.look()
        tls.look()
    assert [(line["event"].split(":")[0], line["log_level"]) for line in logs] == [
        ("the certificate in force has expired", "error")
    ]
    secret.replace(issued(AUTHORITY), authority_pem(AUTHORITY))
    with capture_logs() as logs:
        tls.look()
        tls.look()
    assert [line["event"] for line in logs] == ["certificate replaced"]


def test_the_chain_has_an_expiry_of_its_own_as_long_as_there_is_one(tls: Tls, secret: Secret) -> None:
    assert expiry("chain") is None
    secret.replace(chained(AUTHORITY, timedelta(days=3)), authority_pem(AUTHORITY))
    with capture_logs() as logs:
        tls.look()
    assert expiry("chain") == tls.current.chain_expires_at
    assert expiry("chain") < expiry("server")
    assert logs[0]["chain_expires_at"] < logs[0]["expires_at"]
    secret.replace(issued(AUTHORITY), authority_pem(AUTHORITY))
    tls.look()
    assert expiry("chain") is None


def test_a_chain_that_has_expired_is_served_with_and_said_once(tls: Tls, secret: Secret) -> None:
    expired = chained(AUTHORITY, timedelta(hours=-1))
    secret.replace(expired, authority_pem(AUTHORITY))
    with capture_logs() as logs:
        for _ in range(3):
            tls.look()
    assert tls.current.contents.certificate == expired.certificate
    assert [(line["event"].split(":")[0], line["log_level"]) for line in logs] == [
        ("certificate replaced", "info"),
        ("a certificate that follows the server's own has expired", "error"),
    ]
    with capture_logs() as logs:
        Tls.load(Settings(tls_certificate=secret.certificate, tls_key=secret.key))
    assert [line["log_level"] for line in logs] == ["error"], "at a start it is said as well"


async def test_whatever_goes_wrong_at_a_look_there_is_another(tls: Tls, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    enough = asyncio.Event()
    loop = asyncio.get_running_loop()

    def look(_: Tls) -> None:
        looks.append(1)
        if len(looks) == 1:
            raise ValueError("of the files")
        loop.call_soon_threadsafe(enough.set)

    monkeypatch.setattr(Tls, "look", look)
    monkeypatch.setattr(rotation, "LOOK_SECONDS", 0.001)
    with capture_logs() as logs:
        tls.watch()
        async with asyncio.timeout(60.0):
            await enough.wait()
        tls.close()
    assert (logs[0]["log_level"], logs[0]["error"]) == ("error", "ValueError")
    assert "of the files" not in str(logs)


def test_a_bad_pair_at_the_start_is_an_error(secret: Secret) -> None:
    secret.replace(Identity(b"", b""), b"")
    with pytest.raises(SettingsInvalid):
        Tls.load(Settings(tls_certificate=secret.certificate, tls_key=secret.key))
