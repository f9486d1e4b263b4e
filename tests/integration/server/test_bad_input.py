"""What can't be served is refused with a code, a reason and the field to blame, and never with the text itself."""

from __future__ import annotations

import math
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2

from sidecar.client import AsyncSidecarClient
from sidecar.domain import WindowPolicy, Windows
from sidecar.errors import (
    EmptyText,
    FingerprintMismatch,
    InvalidInput,
    MalformedText,
    SidecarError,
    TextTooLarge,
    TextTooLong,
    TooManyTexts,
    UnknownModel,
    WrongModelKind,
)
from sidecar.server.process import SidecarProcess
from sidecar.v1 import sidecar_pb2 as pb
from sidecar.v1 import sidecar_pb2_grpc as rpc
from tests.integration.server.conftest import Refusal
from tests.support.sidecars import HEAVY_TEXT

pytestmark = pytest.mark.integration


def refused(channel: grpc.Channel, request: pb.EncodeRequest) -> Refusal:
    with pytest.raises(grpc.RpcError) as raised:
        rpc.SparseEncoderStub(channel).Encode(request)
    return Refusal(raised.value)


def sent_raw(channel: grpc.Channel, data: bytes, method: str = "/sidecar.v1.SparseEncoder/Encode") -> Refusal:
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary(method)(data)
    return Refusal(raised.value)


@pytest.mark.parametrize(
    ("request_", "code", "reason", "field"),
    [
        (pb.EncodeRequest(texts=["fine", " \n"]), "INVALID_ARGUMENT", "EMPTY_TEXT", "texts[1]"),
        (pb.EncodeRequest(texts=["a"], model="nope"), "NOT_FOUND", "UNKNOWN_MODEL", "model"),
        (pb.EncodeRequest(texts=["a"], model="tiny-cross-encoder"), "FAILED_PRECONDITION", "WRONG_MODEL_KIND", "model"),
        (
            pb.EncodeRequest(texts=["a"], expected_fingerprint="0" * 64),
            "FAILED_PRECONDITION",
            "FINGERPRINT_MISMATCH",
            "expected_fingerprint",
        ),
        (
            pb.EncodeRequest(texts=["a"], pruning=pb.Pruning(type=pb.Pruning.TYPE_MAX_RATIO, value=math.nan)),
            "INVALID_ARGUMENT",
            "INVALID_PRUNING",
            "pruning.value",
        ),
        (
            pb.EncodeRequest(texts=["a"], pruning=pb.Pruning(type=pb.Pruning.TYPE_ABS_VALUE, value=-1.0)),
            "INVALID_ARGUMENT",
            "INVALID_PRUNING",
            "pruning.value",
        ),
        (pb.EncodeRequest(texts=["a"], side=7), "INVALID_ARGUMENT", "INVALID_INPUT", "side"),
        (
            pb.EncodeRequest(texts=[HEAVY_TEXT], windows=pb.Windows(policy=pb.Windows.POLICY_REFUSE)),
            "INVALID_ARGUMENT",
            "TEXT_TOO_LONG",
            "texts[0]",
        ),
    ],
)
def test_a_refusal_has_code_reason_and_field(
    channel: grpc.Channel, request_: pb.EncodeRequest, code: str, reason: str, field: str
) -> None:
    refusal = refused(channel, request_)
    assert (refusal.code.name, refusal.reason, refusal.field) == (code, reason, field)
    if code == "INVALID_ARGUMENT":
        (violation,) = refusal.detail(error_details_pb2.BadRequest).field_violations
        assert (violation.field, violation.reason) == (field, reason)


def test_an_unknown_model_is_named_as_a_resource(channel: grpc.Channel) -> None:
    resource = refused(channel, pb.EncodeRequest(texts=["a"], model="nope")).detail(error_details_pb2.ResourceInfo)
    assert (resource.resource_type, resource.resource_name) == ("sidecar.v1.Model", "nope")
    with pytest.raises(grpc.RpcError) as raised:
        rpc.ModelsStub(channel).Get(pb.GetModelRequest(name="nope"))
    assert Refusal(raised.value).detail(error_details_pb2.ResourceInfo).resource_name == "nope"


SECRET = "a very private sentence"


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a\x04\xff\xfe\xfd\xfc",  # texts[0]: bytes that are no UTF-8
        b"\x0a\x03\xed\xa0\x80",  # texts[0]: a lone surrogate, as some languages encode it
        b"\x0a\xff",  # a length without its bytes
        b"\xff\xff\xff\xff",  # no message at all
        b"\x0a" + bytes([len(SECRET) + 1]) + SECRET.encode() + b"\xff",
    ],
)
def test_bytes_that_are_no_message_are_malformed(channel: grpc.Channel, data: bytes) -> None:
    refusal = sent_raw(channel, data)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_TEXT")
    assert SECRET not in refusal.status.message


def test_every_method_answers_malformed_bytes_the_same_way(channel: grpc.Channel) -> None:
    for method in ("Reranker/Rerank", "Reranker/RerankBatch", "Models/Get", "Models/List"):
        refusal = sent_raw(
            channel, b"\x0a\x02\xff\xff" if method != "Models/List" else b"\xff", f"/sidecar.v1.{method}"
        )
        assert refusal.reason == "MALFORMED_TEXT", method


def test_malformed_bytes_in_a_stream_end_it_with_the_reason(channel: grpc.Channel) -> None:
    call = channel.stream_stream("/sidecar.v1.SparseEncoder/EncodeStream")(iter([b"\x0a\x02\xff\xff"]))
    with pytest.raises(grpc.RpcError) as raised:
        next(call)
    assert Refusal(raised.value).reason == "MALFORMED_TEXT"


async def test_ten_megabytes_in_one_text(client: AsyncSidecarClient, sidecar_process: SidecarProcess) -> None:
    with pytest.raises(TextTooLarge) as raised:
        await client.encode(["fine", "word " * 2_000_000])
    assert raised.value.field == "texts[1]"
    with pytest.raises(TextTooLarge) as raised:
        await client.rerank("q", ["word " * 2_000_000])
    assert raised.value.field == "documents[0]"


@pytest.mark.parametrize(
    ("call", "expected", "field"),
    [
        (lambda client: client.encode(["a\ud800"]), MalformedText, "texts[0]"),
        (lambda client: client.encode("one text"), InvalidInput, "texts"),
        (lambda client: client.rerank("", ["a"]), EmptyText, "query"),
        (lambda client: client.rerank("q", ["a", ""]), EmptyText, "documents[1]"),
        (lambda client: client.rerank("q", ["a"], model="tiny-sparse"), WrongModelKind, "model"),
        (
            lambda client: client.rerank("q", ["a"], expected_fingerprint="f"),
            FingerprintMismatch,
            "expected_fingerprint",
        ),
        (lambda client: client.rerank_batch([("q", ["a"]), ("q", ["a", ""])]), EmptyText, "requests[1].documents[1]"),
        (lambda client: client.rerank_batch([("q", ["a"])], model="nope"), UnknownModel, "requests[0].model"),
        (lambda client: client.model("nope"), UnknownModel, "name"),
        (lambda client: client.health("nope"), UnknownModel, None),
        (
            lambda client: client.encode([HEAVY_TEXT], windows=Windows(WindowPolicy.REFUSE)),
            TextTooLong,
            "texts[0]",
        ),
    ],
)
async def test_the_client_raises_what_the_sidecar_raised(
    client: AsyncSidecarClient, call, expected: type[SidecarError], field: str | None
) -> None:
    with pytest.raises(expected) as raised:
        await call(client)
    assert type(raised.value) is expected
    assert raised.value.field == field


async def test_an_error_of_a_batch_says_which_pair_it_is_of(client: AsyncSidecarClient, channel: grpc.Channel) -> None:
    """In its message, its field, and the violation."""
    with pytest.raises(EmptyText, match=r"^requests\[1\]\.documents\[2\] is empty") as raised:
        await client.rerank_batch([("q", ["a"]), ("q", ["a", "b", " "])])
    assert raised.value.field == "requests[1].documents[2]"
    with pytest.raises(MalformedText, match=r"^requests\[1\]\.documents\[0\]"):
        await client.rerank_batch([("q", ["a"]), ("q", ["\ud800"])])
    parts = [pb.RerankRequest(query="q", documents=["a"]), pb.RerankRequest(query="", documents=["a"])]
    request = pb.RerankBatchRequest(requests=parts).SerializeToString()
    refusal = sent_raw(channel, request, "/sidecar.v1.Reranker/RerankBatch")
    (violation,) = refusal.detail(error_details_pb2.BadRequest).field_violations
    assert refusal.field == violation.field == "requests[1].query"
    assert refusal.status.message == violation.description
    assert violation.description.startswith("requests[1].query is empty")


async def test_limits_of_count_and_size(start_sidecar) -> None:
    sidecar = await start_sidecar(max_texts=3, max_request_bytes=5_000)
    async with AsyncSidecarClient(sidecar.target) as client:
        assert len((await client.encode(["a", "b", "c"])).encodings) == 3
        with pytest.raises(TooManyTexts) as raised:
            await client.encode(["a", "b", "c", "d"])
        assert raised.value.field == "texts"
        with pytest.raises(TooManyTexts) as raised:
            await client.rerank_batch([("q", ["a", "b"]), ("q", ["c", "d"])])
        assert raised.value.field == "requests"
        # Above the setting: our own refusal, with details. Far above: gRPC's, which the client understands.
        for size in (6_000, 60_000):
            with pytest.raises(TextTooLarge):
                await client.encode(["x" * size])


def test_nothing_of_a_text_is_logged(tiny_bundles: tuple[Path, ...]) -> None:
    with SidecarProcess(tiny_bundles, settings={"threads": 1, "log_level": "debug"}) as process:
        with grpc.insecure_channel(process.target) as channel:
            stub = rpc.SparseEncoderStub(channel)
            stub.Encode(pb.EncodeRequest(texts=[SECRET]))
            for bad in (
                pb.EncodeRequest(texts=[SECRET, ""]),
                pb.EncodeRequest(texts=[SECRET * 100_000]),
                pb.EncodeRequest(texts=[SECRET], model="nope"),
            ):
                assert SECRET not in refused(channel, bad).status.message
            sent_raw(channel, b"\x0a" + bytes([len(SECRET) + 1]) + SECRET.encode() + b"\xff")
        log = process.log_text()
    assert "ready" in log
    assert "private" not in log
