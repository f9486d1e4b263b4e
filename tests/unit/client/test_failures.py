"""A failed call becomes an error of ours, with the sidecar's details or without."""

from __future__ import annotations

import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata

from sidecar.client._failures import translate
from sidecar.contract.failures import write_status
from sidecar.errors import (
    DeadlineExceeded,
    EmptyText,
    Overloaded,
    SidecarError,
    SidecarUnavailable,
    TextTooLarge,
    Unauthenticated,
    UnknownModel,
)


def failure(code: StatusCode, details: str = "because", trailer: bytes | None = None) -> AioRpcError:
    trailing = Metadata() if trailer is None else Metadata(("grpc-status-details-bin", trailer))
    return AioRpcError(code, Metadata(), trailing, details)


@pytest.mark.parametrize(
    ("code", "details", "expected"),
    [
        (StatusCode.UNAVAILABLE, "connection refused", SidecarUnavailable),
        (StatusCode.DEADLINE_EXCEEDED, "", DeadlineExceeded),
        (StatusCode.CANCELLED, "", SidecarUnavailable),
        (StatusCode.RESOURCE_EXHAUSTED, "SERVER: Received message larger than max (5 vs. 4)", TextTooLarge),
        (StatusCode.RESOURCE_EXHAUSTED, "too many pings", Overloaded),
        (StatusCode.UNAUTHENTICATED, "", Unauthenticated),
        (StatusCode.NOT_FOUND, "", UnknownModel),
        (StatusCode.UNIMPLEMENTED, "", SidecarError),
        (StatusCode.INTERNAL, "", SidecarError),
        (StatusCode.UNKNOWN, "", SidecarError),
        (StatusCode.INTERNAL, "Internal error from Core", SidecarUnavailable),
        (StatusCode.INTERNAL, "Received RST_STREAM with error code 2", SidecarUnavailable),
        (StatusCode.UNKNOWN, "Stream removed", SidecarUnavailable),
    ],
)
def test_without_details_the_code_decides(code: StatusCode, details: str, expected: type[SidecarError]) -> None:
    error = translate(failure(code, details), "host:1")
    assert type(error) is expected
    assert error.retry_after is None


def test_every_code_of_grpc_has_an_answer() -> None:
    for code in StatusCode:
        if code is not StatusCode.OK:
            assert isinstance(translate(failure(code), "host:1"), SidecarError)


@pytest.mark.parametrize(
    "details",
    [
        "connections to all backends failing; last error: UNAVAILABLE: ipv4:127.0.0.1:4: Socket closed",
        "last error: UNKNOWN: ipv4:127.0.0.1:4: Tls handshake failed (TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL",
        "last error: UNKNOWN: ipv4:127.0.0.1:4: Custom verification check failed: Hostname Verification Check failed.",
        "last error: UNKNOWN: ipv4:127.0.0.1:4: Failed to create security handshaker.",
    ],
)
def test_where_somebody_is_but_no_connection_comes_of_it_tls_is_asked_about(details: str) -> None:
    error = translate(failure(StatusCode.UNAVAILABLE, details), "host:1")
    assert type(error) is SidecarUnavailable
    assert "host:1" in error.message
    assert "Do both ends speak TLS" in error.message


def test_nobody_and_a_connection_that_breaks_have_nothing_to_do_with_tls() -> None:
    for details in ("last error: UNKNOWN: ipv4:127.0.0.1:4: Connection refused", "Socket closed", "GOAWAY received"):
        assert "TLS" not in translate(failure(StatusCode.UNAVAILABLE, details), "host:1").message


def test_the_message_names_the_address() -> None:
    assert "host:1" in translate(failure(StatusCode.UNAVAILABLE), "host:1").message


def test_details_win_over_the_code() -> None:
    status = write_status(EmptyText("Nothing in it.", field="texts[2]"))
    error = translate(failure(StatusCode.INVALID_ARGUMENT, "x", status.SerializeToString()), "host:1")
    assert type(error) is EmptyText
    assert (error.message, error.field) == ("Nothing in it.", "texts[2]")


def test_details_that_can_not_be_read_are_as_good_as_none() -> None:
    error = translate(failure(StatusCode.UNAVAILABLE, "x", b"\xff\xff\xff"), "host:1")
    assert type(error) is SidecarUnavailable
