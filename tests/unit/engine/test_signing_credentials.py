"""Credentials for AWS: found as its own tools find them, renewed before they expire, and never in a message."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.credentials import Credentials, ReadOnlyCredentials, RefreshableCredentials
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    NoAuthTokenError,
    ProfileNotFound,
)
from opensearchpy.exceptions import AuthorizationException

from sidecar.engine import signing
from sidecar.engine.signing import Signer, may_be_outdated
from sidecar.errors import EngineRejected, EngineUnavailable
from tests.support.aws import Claim
from tests.unit.engine.signers import HERE, JSON, SECRET, ready


@pytest.fixture(autouse=True)
def nothing_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials but those that a test gives."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.fixture
def quiet_botocore() -> Iterator[logging.Logger]:
    logger = logging.getLogger("botocore")
    before = logger.level
    yield logger
    logger.setLevel(before)


async def test_credentials_are_found_as_every_tool_of_aws_finds_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "FROM-ENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert (await Signer(HERE).ready()).access_key == "FROM-ENVIRONMENT"
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_PROFILE", "indexer")
    (tmp_path / "credentials").write_text(
        f"[indexer]\naws_access_key_id = FROM-FILE\naws_secret_access_key = {SECRET}\naws_session_token = t\n"
    )
    keys = await Signer(HERE).ready()
    assert (keys.access_key, keys.token) == ("FROM-FILE", "t")


async def test_no_credentials_is_told() -> None:
    with pytest.raises(EngineRejected, match="AWS_ACCESS_KEY_ID"):
        await Signer(HERE).ready()


async def test_a_profile_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(EngineRejected, match="nobody"):
        await Signer(HERE).ready()


SHOWN = "a secret that a process printed"


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (ProfileNotFound(profile="kim"), EngineRejected, "kim"),
        (NoAuthTokenError(), EngineRejected, "NoAuthTokenError"),
        (CredentialRetrievalError(provider="custom-process", error_msg=SHOWN), EngineUnavailable, "try again"),
        (ConnectTimeoutError(endpoint_url="http://169.254.169.254"), EngineUnavailable, "ConnectTimeoutError"),
        (
            ClientError({"Error": {"Code": "AccessDenied", "Message": SHOWN}}, "AssumeRoleWithWebIdentity"),
            EngineRejected,
            "AssumeRoleWithWebIdentity is answered by AccessDenied",
        ),
        (
            RuntimeError("Credentials were refreshed, but the refreshed credentials are still expired."),
            EngineUnavailable,
            "expired",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_what_botocore_can_not_do_is_an_error_of_ours(error: Exception, kind: type[Exception], told: str) -> None:
    def find() -> Credentials:
        raise error

    with pytest.raises(kind, match=told) as caught:
        await Signer(HERE, find).ready()
    assert SHOWN not in str(caught.value)


async def test_a_mistake_of_ours_stays_one() -> None:
    def find() -> Credentials:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Signer(HERE, find).ready()


async def test_whoever_gives_credentials_and_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "CREDENTIAL_SECONDS", 0.05)
    answered = threading.Event()

    def find() -> Credentials:
        answered.wait(20.0)
        return Credentials("AKID", SECRET)

    try:
        with pytest.raises(EngineUnavailable, match="within"):
            await Signer(HERE, find).ready()
    finally:
        answered.set()


async def test_credentials_are_looked_for_once_however_many_ask() -> None:
    looked: list[int] = []

    def find() -> Credentials:
        looked.append(1)
        return Credentials("AKID", SECRET)

    signer = Signer(HERE, find)
    await asyncio.gather(*(signer.ready() for _ in range(8)))
    assert len(looked) == 1


async def test_credentials_that_expire_are_renewed_off_the_event_loop() -> None:
    renewals: list[bool] = []

    def renew() -> dict[str, str]:
        renewals.append(threading.current_thread() is threading.main_thread())
        later = datetime.now(UTC) + timedelta(hours=1)
        return {
            "access_key": f"AKID{len(renewals)}",
            "secret_key": SECRET,
            "token": "t",
            "expiry_time": later.isoformat(),
        }

    soon = datetime.now(UTC) + timedelta(seconds=1)
    first = {"access_key": "AKID0", "secret_key": SECRET, "token": "t", "expiry_time": soon.isoformat()}
    signer = await ready(lambda: RefreshableCredentials.create_from_metadata(first, renew, "test"))
    assert Claim.parse(signer("GET", "https://a.example/", None, JSON)["Authorization"]).access_key == "AKID1"
    assert (await signer.ready()).access_key == "AKID1", "these hold for an hour"
    assert renewals == [False]
    assert not await signer.renewed(await signer.ready()), "they renew themselves"


async def test_keys_that_others_rotate_are_found_when_the_old_ones_are_refused() -> None:
    kept = [Credentials("OLD", SECRET, "one")]
    signer = Signer(HERE, lambda: kept[-1])
    used = await signer.ready()
    assert not await signer.renewed(used), "there are no others yet"
    kept.append(Credentials("NEW", SECRET, "two"))
    assert all(await asyncio.gather(*(signer.renewed(used) for _ in range(4))))
    assert (await signer.ready()).access_key == "NEW"
    assert not await signer.renewed(await signer.ready())


@pytest.mark.parametrize(
    ("told", "outdated"),
    [
        ('{"message":"The security token included in the request is expired"}', True),
        ('{"message":"The security token included in the request is invalid."}', True),
        ('{"status":403,"error":{"reason":"403 Forbidden","type":"Forbidden"}}', True),
        ('{"message":"Credential should be scoped to a valid region"}', False),
        ('{"error":{"type":"security_exception","reason":"no permissions for [indices:data/read/search]"}}', False),
    ],
)
def test_only_refused_credentials_are_looked_for_again(told: str, outdated: bool) -> None:
    assert may_be_outdated(AuthorizationException(403, told, None)) is outdated


async def test_nothing_of_the_keys_shows(caplog: pytest.LogCaptureFixture, quiet_botocore: logging.Logger) -> None:
    quiet_botocore.setLevel(logging.NOTSET)
    with caplog.at_level(logging.DEBUG):
        signer = await ready(lambda: Credentials("AKID", SECRET, "session-token"))
        signer("GET", "https://a.example/", None, JSON)
    for shown in (repr(signer), str(signer), caplog.text):
        assert SECRET not in shown
        assert "session-token" not in shown


async def test_who_wants_to_see_what_is_signed_may(quiet_botocore: logging.Logger) -> None:
    quiet_botocore.setLevel(logging.DEBUG)
    Signer(HERE, lambda: None)
    assert quiet_botocore.level == logging.DEBUG


def test_keys_at_one_moment_are_botocores() -> None:
    assert Credentials("A", "B", "C").get_frozen_credentials() == ReadOnlyCredentials("A", "B", "C")
