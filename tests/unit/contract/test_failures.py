"""Every error of the tree has its place on the wire, and comes back as what it was."""

from __future__ import annotations

import inspect
import re

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from sidecar import errors
from sidecar.contract.failures import ERROR_OF_REASON, read_error, read_status, within, write_error, write_status
from sidecar.errors import WIRE, InvalidInput, Overloaded, SidecarError, StatusCode, UnknownModel, tree, wire_error
from sidecar.v1 import sidecar_pb2 as pb

ALL = sorted(
    (
        thing
        for _, thing in inspect.getmembers(tree, inspect.isclass)
        if issubclass(thing, SidecarError) and thing.__module__ == tree.__name__
    ),
    key=lambda cls: cls.__name__,
)


def details_of(status: status_pb2.Status, kind: type[Message]) -> list[Message]:
    found = []
    for part in status.details:
        if part.Is(kind.DESCRIPTOR):
            unpacked = kind()
            part.Unpack(unpacked)
            found.append(unpacked)
    return found


def test_the_tree_is_not_empty() -> None:
    assert len(ALL) > 30


@pytest.mark.parametrize("cls", ALL)
def test_every_class_is_in_the_table(cls: type[SidecarError]) -> None:
    assert cls in WIRE
    assert wire_error(cls("x")) is WIRE[cls]
    assert cls.__name__ in errors.__all__
    assert getattr(errors, cls.__name__) is cls


def test_the_drawing_is_that_of_the_tree() -> None:
    drawn: list[tuple[str, str]] = []
    above = [SidecarError.__name__]
    for bars, name in re.findall(r"^ {4}((?:[│ ] {3})*)[├└]── (\w+)", errors.__doc__ or "", re.MULTILINE):
        del above[1 + len(bars) // 4 :]
        drawn.append((name, above[-1]))
        above.append(name)
    assert sorted(drawn) == [(cls.__name__, cls.__base__.__name__) for cls in ALL if cls is not SidecarError]


def test_every_reason_is_unique_and_fit_for_error_info() -> None:
    assert len(ERROR_OF_REASON) == len(WIRE)
    for reason in ERROR_OF_REASON:
        # https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto, ErrorInfo.reason
        assert re.fullmatch(r"[A-Z][A-Z0-9_]{0,61}[A-Z0-9]", reason)


def test_the_codes_are_those_of_google_rpc() -> None:
    for code in StatusCode:
        assert code_pb2.Code.Name(code) == code.name


@pytest.mark.parametrize("cls", ALL)
def test_every_class_survives_a_status(cls: type[SidecarError]) -> None:
    error = cls("What happened.", field="texts[3]", retry_after=2.5)
    sent = status_pb2.Status.FromString(write_status(error).SerializeToString())
    got = read_status(sent)
    assert type(got) is cls
    assert (got.message, got.field, got.retry_after) == ("What happened.", "texts[3]", 2.5)
    assert sent.code == WIRE[cls].code
    (info,) = details_of(sent, error_details_pb2.ErrorInfo)
    assert (info.domain, info.reason, dict(info.metadata)) == ("sidecar.v1", WIRE[cls].reason, {"field": "texts[3]"})


@pytest.mark.parametrize("cls", ALL)
def test_every_class_survives_an_item_of_a_stream(cls: type[SidecarError]) -> None:
    error = cls("What happened.", field="texts[3]", retry_after=2.5)
    got = read_error(pb.Error.FromString(write_error(error).SerializeToString()))
    assert type(got) is cls
    assert (got.message, got.field, got.retry_after) == ("What happened.", "texts[3]", 2.5)


@pytest.mark.parametrize("cls", ALL)
def test_details_follow_from_what_the_error_is(cls: type[SidecarError]) -> None:
    status = write_status(cls("x", field="f"), model="some-model", request_id="r1")
    violations = details_of(status, error_details_pb2.BadRequest)
    assert bool(violations) == issubclass(cls, InvalidInput)
    if violations:
        (violation,) = violations[0].field_violations
        assert (violation.field, violation.description, violation.reason) == ("f", "x", WIRE[cls].reason)
    resources = details_of(status, error_details_pb2.ResourceInfo)
    assert bool(resources) == issubclass(cls, UnknownModel)
    if resources:
        assert resources[0].resource_name == "some-model"
    retries = details_of(status, error_details_pb2.RetryInfo)
    assert bool(retries) == (WIRE[cls].code in (StatusCode.RESOURCE_EXHAUSTED, StatusCode.UNAVAILABLE))
    (request,) = details_of(status, error_details_pb2.RequestInfo)
    assert request.request_id == "r1"


@given(st.floats(min_value=1e-9, max_value=3600.0))
def test_the_time_to_wait_is_kept_to_the_nanosecond(seconds: float) -> None:
    got = read_status(write_status(errors.Overloaded("x", retry_after=seconds)))
    assert got is not None
    assert got.retry_after == pytest.approx(seconds, abs=1e-9)


def test_no_field_is_no_field() -> None:
    got = read_status(write_status(InvalidInput("x")))
    assert got is not None
    assert (got.field, got.retry_after) == (None, None)
    item = read_error(write_error(InvalidInput("x")))
    assert (item.field, item.retry_after) == (None, None)


def test_a_reason_of_the_future_is_still_an_error_of_ours() -> None:
    packed = AnyMessage()
    packed.Pack(error_details_pb2.ErrorInfo(reason="FROM_THE_FUTURE", domain="sidecar.v1"))
    got = read_status(status_pb2.Status(code=3, message="new", details=[packed]))
    assert type(got) is SidecarError
    assert got.message == "new"
    assert type(read_error(pb.Error(code=3, reason="FROM_THE_FUTURE", message="new"))) is SidecarError


@pytest.mark.parametrize(
    ("message", "field", "expected", "named"),
    [
        ("documents[0] is empty.", "documents[0]", "requests[3].documents[0] is empty.", "requests[3].documents[0]"),
        ("No such model.", "model", "No such model.", "requests[3].model"),
        ("Too much.", None, "Too much.", "requests[3]"),
    ],
)
def test_an_error_of_a_part_is_named_from_the_whole(message: str, field: str | None, expected: str, named: str) -> None:
    error = within(Overloaded(message, field=field, retry_after=2.0), "requests[3]")
    assert type(error) is Overloaded
    assert (error.message, error.field, error.retry_after) == (expected, named, 2.0)


def test_another_services_status_is_not_taken_for_ours() -> None:
    packed = AnyMessage()
    packed.Pack(error_details_pb2.ErrorInfo(reason="OVERLOADED", domain="googleapis.com"))
    assert read_status(status_pb2.Status(code=8, message="quota", details=[packed])) is None
    assert read_status(status_pb2.Status(code=8, message="quota")) is None
