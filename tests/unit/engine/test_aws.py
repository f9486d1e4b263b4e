"""What requests are signed for, and what AWS answers where they are not signed as it wants."""

from __future__ import annotations

import importlib.util

import opensearchpy.exceptions as theirs
import orjson
import pytest

from sidecar.engine import Engine
from sidecar.engine.access import Access
from sidecar.engine.aws import AwsSigning
from sidecar.engine.aws_refusals import aws_refusal
from sidecar.engine.failures import from_exception
from sidecar.errors import EngineRejected, InvalidInput

SECRET = "where do I buy plutonium"


@pytest.mark.parametrize("region", ["eu-central-1", "us-gov-west-1", "cn-north-1", "ap-southeast-4"])
def test_regions(region: str) -> None:
    assert AwsSigning(region).region == region


@pytest.mark.parametrize("region", ["", "Frankfurt", "eu", "eu-central-1 ", "eu-central-1/es", "EU-central-1", "eu-"])
def test_what_is_no_region_is_refused(region: str) -> None:
    with pytest.raises(InvalidInput, match="eu-central-1") as caught:
        AwsSigning(region)
    assert caught.value.field == "aws_region"


@pytest.mark.parametrize("service", ["", "ES", "opensearch", "s3"])
def test_what_is_no_service_is_refused(service: str) -> None:
    with pytest.raises(InvalidInput, match="aoss") as caught:
        AwsSigning("eu-central-1", service)
    assert caught.value.field == "aws_service"


def test_nothing_is_signed_without_a_region() -> None:
    assert AwsSigning.of(None) is None
    assert AwsSigning.of("eu-central-1") == AwsSigning("eu-central-1", "es")
    assert AwsSigning.of("eu-central-1", "aoss") == AwsSigning("eu-central-1", "aoss")
    with pytest.raises(InvalidInput, match="region"):
        AwsSigning.of(None, "aoss")


def test_without_botocore_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr("sidecar.engine.aws.find_spec", lambda name: None if name == "botocore" else found(name))
    with pytest.raises(InvalidInput, match=r"pip install 'splade-sidecar\[aws\]'"):
        AwsSigning("eu-central-1")


@pytest.mark.parametrize(
    ("url", "region", "service", "field"),
    [
        ("https://search-a-x.eu-west-1.es.amazonaws.com", "eu-west-1", "es", None),
        ("https://x.eu-west-1.aoss.amazonaws.com:443/", "eu-west-1", "aoss", None),
        ("https://search-a-x.cn-north-1.es.amazonaws.com.cn", "cn-north-1", "es", None),
        ("https://search.shop.example", "eu-west-1", "es", None),
        ("https://search-a-x.aos.eu-west-1.on.aws", "eu-west-1", "es", None),
        ("https://a.eu-west-1.es.amazonaws.com.shop.example", "eu-central-1", "es", None),
        ("https://search-a-x.eu-west-1.es.amazonaws.com", "eu-west-2", "es", "aws_region"),
        ("https://x.eu-west-1.aoss.amazonaws.com", "eu-west-1", "es", "aws_service"),
        ("https://search-a-x.eu-west-1.es.amazonaws.com", "eu-west-1", "aoss", "aws_service"),
        ("https://shop.example,https://a.eu-west-1.es.amazonaws.com", "eu-central-1", "es", "aws_region"),
    ],
)
def test_an_address_of_awss_own_says_what_it_takes(url: str, region: str, service: str, field: str | None) -> None:
    signing = AwsSigning(region, service)
    if field is None:
        assert Access(url, aws=signing).aws == signing
        return
    with pytest.raises(InvalidInput, match="refuse each") as caught:
        Access(url, aws=signing)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "given",
    [
        {"url": "https://a:1", "user": "kim"},
        {"url": "https://kim:plutonium@a:1"},
        {"url": "https://a:1", "api_key": "id:key"},
    ],
)
async def test_a_signature_and_a_password_do_not_go_together(given: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="give one of them") as caught:
        await Engine.connect(**given, aws_region="eu-central-1")
    assert caught.value.field == "aws_region"
    assert "plutonium" not in caught.value.message


@pytest.mark.parametrize(
    ("status", "message", "told"),
    [
        (
            403,
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret"
            f" Access Key.\n\nThe Canonical String for this request should have been\n'GET\n/i/_doc/{SECRET}'",
            "changes host, path or body",
        ),
        (403, "Credential should be scoped to a valid region, not 'eu-west-2'. ", "region or service"),
        (403, "Credential should be scoped to correct service: 'es'. ", "`aoss` for OpenSearch Serverless"),
        (403, "The security token included in the request is expired", "have expired"),
        (403, "The security token included in the request is invalid.", "does not know the credentials"),
        (403, "Signature expired: 20240101T000000Z is now earlier than 20240101T000600Z", "clock"),
        (403, "Signature not yet current: 20240101T000000Z is still later than 20240101T000600Z", "clock"),
        (403, "User: anonymous is not authorized to perform: es:ESHttpGet", "name the region"),
        (403, "Missing Authentication Token", "name the region"),
        (
            403,
            f"User: arn:aws:iam::123456789012:user/{SECRET} is not authorized to perform: es:ESHttpPost because no"
            " identity-based policy allows the es:ESHttpPost action",
            "access policy allow es:ESHttpPost (403)",
        ),
        (401, f"Your request: '/_cluster/settings/{SECRET}' is not allowed.", "closed that request to everybody (401)"),
    ],
)
@pytest.mark.parametrize("key", ["message", "Message"])
@pytest.mark.parametrize("parsed", [True, False])
def test_what_aws_says_is_told_in_our_words(status: int, message: str, told: str, key: str, parsed: bool) -> None:
    answer = {key: message}
    raised = theirs.AuthorizationException(status, orjson.dumps(answer).decode(), answer if parsed else None)
    found = from_exception(raised, address="https://a")
    assert type(found) is EngineRejected
    assert told in found.message
    assert found.status == status
    assert SECRET not in found.message
    assert "arn:" not in found.message


def test_serverless_does_not_say_what_it_refuses() -> None:
    answer = {"status": 403, "error": {"reason": "403 Forbidden", "type": "Forbidden"}}
    found = from_exception(theirs.AuthorizationException(403, "Forbidden", answer), address="https://a")
    assert "aoss:APIAccessAll" in found.message
    assert found.status == 403


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (403, None),
        (403, "Forbidden"),
        (403, ["x"]),
        (403, {}),
        (403, {"message": "closed for lunch"}),
        (403, {"message": 7}),
        (404, {"message": "The security token included in the request is expired"}),
        (403, {"error": {"type": "security_exception", "reason": "no permissions"}}),
        (403, {"error": "no", "message": "The security token included in the request is expired"}),
    ],
)
def test_what_others_say_is_left_to_them(status: int, told: object) -> None:
    assert aws_refusal(status, told) is None
