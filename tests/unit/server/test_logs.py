"""Log lines are JSON on stderr, one form for everyone, and hold nothing of what an exception says."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import orjson
import pytest
import structlog

from sidecar.errors import SidecarError
from sidecar.server.incidents import internal_error, whereabouts
from sidecar.server.logs import configure_logging, log_loop_errors

SECRET = "the text of a user"


@pytest.fixture(autouse=True)
def logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    levels = {name: logging.getLogger(name).level for name in ("uvicorn", "asyncio", "grpc")}
    for name in ("uvicorn", "uvicorn.error"):
        # Any uvicorn that another test started with its own log settings keeps these lines to itself.
        monkeypatch.setattr(logging.getLogger(name), "handlers", [])
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
        monkeypatch.setattr(logging.getLogger(name), "disabled", False)
    monkeypatch.setattr(logging.getLogger("uvicorn.error"), "level", logging.NOTSET)
    yield
    root.handlers = handlers
    root.setLevel(level)
    for name, number in levels.items():
        logging.getLogger(name).setLevel(number)
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [orjson.loads(line) for line in captured.err.splitlines()]


def fail() -> Exception:
    try:
        raise ValueError(SECRET)
    except ValueError as error:
        return error


def test_our_lines_and_the_libraries_have_one_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", json=True)
    structlog.get_logger("ours").info("something", count=3)
    logging.getLogger("theirs").warning("something else")
    ours, theirs = lines(capsys)
    assert (ours["event"], ours["count"], ours["level"], ours["logger"]) == ("something", 3, "info", "ours")
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("something else", "warning", "theirs")
    assert str(ours["timestamp"]).endswith("Z")


def test_lines_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("warning", json=True)
    structlog.get_logger("ours").info("not this")
    logging.getLogger("theirs").info("nor this")
    assert lines(capsys) == []


def test_libraries_that_repeat_us_are_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", json=True)
    logging.getLogger("uvicorn.error").info("Started server process")
    assert lines(capsys) == []


def test_an_exceptions_message_is_never_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", json=True)
    error = fail()
    logging.getLogger("theirs").error("went wrong", exc_info=error)
    structlog.get_logger("ours").error("went wrong", exc_info=error)
    try:
        raise error
    except ValueError:
        structlog.get_logger("ours").exception("went wrong")
    captured = capsys.readouterr().err
    assert SECRET not in captured
    for line in captured.splitlines():
        written = orjson.loads(line)
        assert written["error"] == "ValueError"
        assert any("test_logs.py" in place for place in written["at"])


async def test_a_task_that_fails_unseen_is_logged_without_its_values(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", json=True)
    loop = asyncio.get_running_loop()
    log_loop_errors(loop)

    def broken() -> None:
        raise ValueError(SECRET)

    loop.call_soon(broken)
    await asyncio.sleep(0.01)
    (line,) = lines(capsys)
    assert line["error"] == "ValueError"
    assert SECRET not in str(line)


async def test_an_error_of_the_loop_that_comes_by_the_thousand_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", json=True)
    loop = asyncio.get_running_loop()
    log_loop_errors(loop)
    for _ in range(2_000):
        loop.call_exception_handler({"message": "socket.accept() out of system resource", "exception": OSError(24)})
    loop.call_exception_handler({"message": "something else"})
    first, second = lines(capsys)
    assert (first["what"], first["left_out"]) == ("socket.accept() out of system resource", 0)
    assert second["what"] == "something else"


async def test_what_a_callback_was_given_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", json=True)
    loop = asyncio.get_running_loop()
    log_loop_errors(loop)

    def broken(_: str) -> None:
        raise ValueError

    loop.call_soon(broken, SECRET)
    await asyncio.sleep(0.01)
    (line,) = lines(capsys)
    assert line["what"] == "Exception in callback"
    assert any("broken" in place for place in line["at"])
    assert SECRET not in str(line)


def test_a_warning_of_uvicorn_that_any_caller_can_bring_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.server.logs.REPEAT_SECONDS", 60.0)
    configure_logging("info", json=True)
    for _ in range(100):
        logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    (line,) = lines(capsys)
    assert line["event"] == "Invalid HTTP request received."
    monkeypatch.setattr("sidecar.server.logs.REPEAT_SECONDS", 0.0)
    configure_logging("info", json=True)
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    assert len(lines(capsys)) == 1


def test_errors_of_uvicorn_all_have_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", json=True)
    for _ in range(3):
        logging.getLogger("uvicorn.error").error("Exception in ASGI application")
    assert len(lines(capsys)) == 3


def test_for_people_there_is_no_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", json=False)
    structlog.get_logger("ours").info("something", count=3)
    written = capsys.readouterr().err
    assert "something" in written
    assert not written.startswith("{")


def test_an_unexpected_error_has_an_id_for_the_caller_and_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", json=True)
    error, request_id = internal_error(fail(), "/sidecar.v1.SparseEncoder/Encode", {"trace_id": "a1"})
    assert type(error) is SidecarError
    assert request_id in error.message
    assert SECRET not in error.message
    (line,) = lines(capsys)
    assert line["request_id"] == request_id
    assert line["method"] == "/sidecar.v1.SparseEncoder/Encode"
    assert SECRET not in str(line)


def test_whereabouts_name_the_type_and_the_place() -> None:
    found = whereabouts(fail())
    assert found["error"] == "ValueError"
    assert found["at"][-1].endswith(" fail")
