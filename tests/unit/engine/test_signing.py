"""Signatures for AWS: right for every path, query, body and host."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import urlsplit

import pytest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from sidecar.engine.aws import AwsSigning
from sidecar.engine.signing import Signer, with_query
from sidecar.engine.transport import path_of
from tests.support.aws import Claim, canonical_request, signature_of
from tests.unit.engine.signers import HERE, JSON, SECRET, ready


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
