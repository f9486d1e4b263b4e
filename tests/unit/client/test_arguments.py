"""What can't be meant is refused when a client is made, and not by calls that fail, or searches that degrade."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sidecar.client import AsyncSidecarClient, SidecarClient
from sidecar.errors import DeadlineExceeded, InvalidInput, SidecarUnavailable
from tests.unit.searching.test_connection import stranger

PEM = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("", "empty"),
        ("  ", "empty"),
        (None, "empty"),
        ("http://127.0.0.1:50051", "without http://"),
        ("HTTPS://sidecar:50051", "without http://"),
        ("grpc://sidecar:50051", "without http://"),
        ("sidecar:99999", "port beyond 65,535"),
    ],
)
def test_a_target_that_is_none(target: Any, says: str) -> None:
    for client in (AsyncSidecarClient, SidecarClient):
        with pytest.raises(InvalidInput, match=says) as raised:
            client(target)
        assert raised.value.field == "target"


@pytest.mark.parametrize(
    "target",
    [
        "127.0.0.1:50051",
        "sidecar",
        "dns:///sidecar:50051",
        "ipv4:10.0.0.1:1,10.0.0.2:65535",
        "unix:///run/s",
        "[::1]:80",
    ],
)
def test_the_names_that_grpc_has(target: str) -> None:
    assert AsyncSidecarClient(target).target == target


@pytest.mark.parametrize("token", ["secret\n", "a\r\nb: c", "gehéim", "\x00"])
def test_a_token_that_no_header_takes(token: str) -> None:
    with pytest.raises(InvalidInput, match="line break at the end") as raised:
        AsyncSidecarClient(token=token)
    assert raised.value.field == "token"
    assert "secret" not in raised.value.message
    AsyncSidecarClient(token=token.strip() if token.endswith("\n") else "secret")


@pytest.mark.parametrize("certificates", [b"", b"no certificate", PEM.decode()])
def test_certificates_that_are_none(certificates: bytes) -> None:
    with pytest.raises(InvalidInput, match="PEM") as raised:
        AsyncSidecarClient(root_certificates=certificates)
    assert raised.value.field == "root_certificates"
    AsyncSidecarClient(root_certificates=PEM)


async def test_texts_are_strings() -> None:
    values: list[str] = ["fine", 7, None]  # type: ignore[list-item]
    async with AsyncSidecarClient("127.0.0.1:1") as client:
        with pytest.raises(InvalidInput, match=r"texts\[1\] is no string") as raised:
            await client.encode(values)
        assert raised.value.field == "texts[1]"
        with pytest.raises(InvalidInput, match=r"documents\[1\] is no string"):
            await client.rerank("what", values)
        with pytest.raises(InvalidInput, match="query is no string"):
            await client.rerank(7, ["fine"])  # type: ignore[arg-type]
        with pytest.raises(InvalidInput, match="texts must be a sequence of texts, not NoneType"):
            await client.encode(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pair", "field", "message"),
    [
        ((None, ["fine"]), "query", "is no string"),
        (("what", "fine"), "documents", "must be a sequence"),
        (("what", ["fine", 7]), "documents[1]", "is no string"),
        (("what", ["fine", "a\ud800"]), "documents[1]", "lone surrogate"),
        (("a\ud800", ["fine"]), "query", "lone surrogate"),
    ],
)
async def test_an_error_of_a_batch_names_its_pair(pair, field: str, message: str) -> None:
    async with AsyncSidecarClient("127.0.0.1:1") as client:
        with pytest.raises(InvalidInput, match=message) as raised:
            await client.rerank_batch([("what", ["fine"]), pair])
    assert raised.value.field == f"requests[1].{field}"
    assert "documents" not in raised.value.message or f"requests[1].{field}" in raised.value.message


async def test_a_batch_without_strings_fails_alone() -> None:
    async with AsyncSidecarClient("127.0.0.1:1") as client:
        first = await anext(client.encode_stream([[7]], resumptions=0))  # type: ignore[list-item]
    assert isinstance(first.error, InvalidInput)
    assert first.position == 0


async def test_what_is_no_batch_is_not_the_end_of_them() -> None:
    batches: list[Any] = [[7], None, 8, "nine", [10]]
    async with AsyncSidecarClient("127.0.0.1:1") as client:
        stream = client.encode_stream(batches)
        found = [await anext(stream) for _ in batches]
        await stream.aclose()
    with SidecarClient("127.0.0.1:1") as blocking:
        outcomes = blocking.encode_stream(batches)
        found += [next(outcomes) for _ in batches]
    assert [one.position for one in found] == [*range(5), *range(5)]
    assert [one.error.field for one in found if isinstance(one.error, InvalidInput)] == [
        *("texts[0]", "texts", "texts", "texts", "texts[0]") * 2
    ]


@pytest.mark.parametrize("timeout", [float("inf"), 1e12])
async def test_all_the_time_in_the_world_is_not_none(timeout: float) -> None:
    async with AsyncSidecarClient("127.0.0.1:1", timeout=timeout) as client:
        with pytest.raises(SidecarUnavailable):
            await client.health()


async def test_whoever_waits_when_a_client_is_closed_is_told_and_not_cancelled() -> None:
    async with stranger(None) as (address, _), AsyncSidecarClient(address.removeprefix("http://")) as client:
        stream = client.encode_stream([["some text"]] * 3)
        calls = [client.encode(["some text"]), client.rerank("what", ["some text"]), client.health(), anext(stream)]
        waiting = [asyncio.ensure_future(call) for call in calls]
        leaving = asyncio.ensure_future(client.models())
        await asyncio.sleep(0.3)
        leaving.cancel()
        await client.close()
        for call in waiting:
            with pytest.raises(SidecarUnavailable, match="closed"):
                await call
        with pytest.raises(asyncio.CancelledError):
            await leaving
        await stream.aclose()


async def test_no_time_is_none() -> None:
    async with AsyncSidecarClient("127.0.0.1:1") as client:
        with pytest.raises(DeadlineExceeded):
            await client.health(timeout=-1.0)
