"""Signatures for AWS: right for every path and query, with credentials that hold, and never in a message."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from botocore.credentials import Credentials, ReadOnlyCredentials, RefreshableCredentials
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    NoAuthTokenError,
    ProfileNotFound,
)
from hypothesis import given
from hypothesis import strategies as st
from opensearchpy.exceptions import AuthorizationException

from sidecar.engine import signing
from sidecar.engine.aws import AwsSigning
from sidecar.engine.signing import Signer, may_be_outdated, with_query
from sidecar.engine.transport import path_of
from sidecar.errors import EngineRejected, EngineUnavailable
from tests.support.aws import Claim, canonical_request, signature_of

HERE = AwsSigning("eu-central-1")
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Example:
    """A request of AWS's test suite for signers, and the signature that it has for it."""

    method: str
    target: str
    body: bytes
    headers: Mapping[str, str]
    service: str
    signature: str


EXAMPLE = {"host": "example.amazonaws.com", "x-amz-date": "20150830T123600Z"}
FORM = "application/x-www-form-urlencoded"
PUBLISHED = [
    Example("GET", "/", b"", EXAMPLE, "service", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    Example(
        "GET",
        "/?Param2=value2&Param1=value1",
        b"",
        EXAMPLE,
        "service",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    Example(
        "POST",
        "/",
        b"Param1=value1",
        {"content-type": FORM, **EXAMPLE},
        "service",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
    Example(
        "GET",
        "/?Action=ListUsers&Version=2010-05-08",
        b"",
        {"content-type": f"{FORM}; charset=utf-8", **EXAMPLE, "host": "iam.amazonaws.com"},
        "iam",
        "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
    ),
]


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


def recomputed(method: str, url: str, body: bytes, headers: Mapping[str, str], secret: str = SECRET) -> str:
    """The signature of a request as whoever receives it computes it."""
    parts = urlsplit(url)
    received = {name.lower(): value for name, value in headers.items()} | {"host": parts.netloc}
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    claim = Claim.parse(received["authorization"])
    canonical = canonical_request(method, target, received, claim.signed, sha256(body).hexdigest())
    return signature_of(canonical, secret, received["x-amz-date"], claim.region, claim.service)


def signature_in(headers: Mapping[str, str]) -> str:
    return Claim.parse(headers["Authorization"]).signature


async def ready(find: Callable[[], Credentials | None], where: AwsSigning = HERE) -> Signer:
    signer = Signer(where, find)
    await signer.ready()
    return signer


@pytest.mark.parametrize("example", PUBLISHED, ids=lambda example: f"{example.method} {example.target}")
def test_what_the_tests_check_by_agrees_with_aws(example: Example) -> None:
    signed = sorted(example.headers)
    hashed = sha256(example.body).hexdigest()
    canonical = canonical_request(example.method, example.target, example.headers, signed, hashed)
    found = signature_of(canonical, SECRET, "20150830T123600Z", "us-east-1", example.service)
    assert found == example.signature


@pytest.mark.parametrize("service", ["es", "aoss"])
@pytest.mark.parametrize("token", [None, "session+token/with=all"])
async def test_body_host_and_token_are_signed(service: str, token: str | None) -> None:
    signer = await ready(lambda: Credentials("AKID", SECRET, token), AwsSigning("eu-central-1", service))
    url = "https://search.example:9200/articles/_search?timeout=1s"
    headers = signer("post", url, b'{"query": {}}', {**JSON, "connection": "keep-alive", "traceparent": "00-1-2-00"})
    assert signature_in(headers) == recomputed("POST", url, b'{"query": {}}', headers)
    claim = Claim.parse(headers["Authorization"])
    expected = ["content-type", "host", "x-amz-content-sha256", "x-amz-date"]
    assert list(claim.signed) == [*expected, *(["x-amz-security-token"] if token else [])]
    assert (claim.access_key, claim.region, claim.service) == ("AKID", "eu-central-1", service)
    assert headers.get("X-Amz-Security-Token") == token
    assert headers["x-amz-content-sha256"] == sha256(b'{"query": {}}').hexdigest()
    assert set(headers) <= {
        "content-type",
        "x-amz-content-sha256",
        "X-Amz-Date",
        "X-Amz-Security-Token",
        "Authorization",
    }


async def test_another_body_or_secret_is_another_signature() -> None:
    signer = await ready(lambda: Credentials("AKID", SECRET))
    url = "https://search.example/_bulk"
    headers = signer("POST", url, b"one", JSON)
    assert signature_in(headers) != recomputed("POST", url, b"two", headers)
    assert signature_in(headers) != recomputed("POST", url, b"one", headers, secret="another")
    assert signature_in(headers) != recomputed("PUT", url, b"one", headers)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://search.example:443/", "search.example"),
        ("https://search.example:9443/", "search.example:9443"),
        ("http://127.0.0.1:9200/", "127.0.0.1:9200"),
        ("http://[::1]:9200/", "[::1]:9200"),
    ],
)
async def test_the_host_is_signed_as_it_is_sent(url: str, host: str) -> None:
    signer = await ready(lambda: Credentials("AKID", SECRET))
    headers = signer("GET", url, None, JSON)
    received = {name.lower(): value for name, value in headers.items()} | {"host": host}
    claim = Claim.parse(received["authorization"])
    canonical = canonical_request("GET", "/", received, claim.signed, sha256(b"").hexdigest())
    assert claim.signature == signature_of(canonical, SECRET, received["x-amz-date"], claim.region, "es")


ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: text not in {".", ".."})


@given(document=ids, value=ids, other=ids)
def test_every_id_and_every_parameter_is_signed_as_it_is_sent(document: str, value: str, other: str) -> None:
    signer = Signer(HERE, lambda: Credentials("AKID", SECRET))
    asyncio.run(signer.ready())
    path = with_query(path_of("articles", "_doc", document), {"routing": value, other: "b c"})
    url = f"https://search.example{path}"
    headers = signer("GET", url, None, JSON)
    assert signature_in(headers) == recomputed("GET", url, b"", headers)


@pytest.mark.parametrize(
    ("path", "parameters", "target"),
    [
        ("/a/_search", None, "/a/_search"),
        ("/a/_search", {}, "/a/_search"),
        ("/a/_search", {"preference": "one two+three/four"}, "/a/_search?preference=one%20two%2Bthree%2Ffour"),
        ("/a/_x?deploy=true", {"b": "*"}, "/a/_x?deploy=true&b=%2A"),
    ],
)
def test_a_space_is_no_plus(path: str, parameters: Mapping[str, str] | None, target: str) -> None:
    assert with_query(path, parameters) == target


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
