"""From opensearch-py's exceptions to ours: all of them, and no user's text in a message."""

from __future__ import annotations

import inspect

import opensearchpy.exceptions as theirs
import orjson
import pytest

from sidecar.engine.failures import Cause, from_cause, from_exception
from sidecar.errors import EngineError, EngineOverloaded, EngineRejected, EngineUnavailable, IndexNotFound

SECRET = "where do I buy plutonium"


def body(kind: str, reason: str) -> dict[str, object]:
    return {"error": {"type": kind, "reason": reason, "root_cause": [{"type": kind, "reason": reason}]}}


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (400, "parsing_exception", EngineRejected),
        (401, "security_exception", EngineRejected),
        (403, "security_exception", EngineRejected),
        (404, "index_not_found_exception", IndexNotFound),
        (404, "", EngineRejected),
        (409, "version_conflict_engine_exception", EngineRejected),
        (413, "", EngineRejected),
        (429, "rejected_execution_exception", EngineOverloaded),
        (500, "null_pointer_exception", EngineUnavailable),
        (502, "", EngineUnavailable),
        (503, "cluster_block_exception", EngineUnavailable),
        (504, "", EngineUnavailable),
    ],
)
def test_every_status_has_its_error(status: int, kind: str, expected: type[EngineError]) -> None:
    raised = theirs.HTTP_EXCEPTIONS.get(status, theirs.TransportError)(status, kind, body(kind, "because"))
    found = from_exception(raised, address="http://c:9200")
    assert type(found) is expected
    assert found.status == status


@pytest.mark.parametrize("status", [403, 429])
def test_a_block_is_not_blamed_on_the_user(status: int) -> None:
    reason = "index [ro] blocked by: [FORBIDDEN/5/index read-only (api)];"
    raised = theirs.TransportError(status, "x", body("cluster_block_exception", reason))
    found = from_exception(raised, address="a")
    assert isinstance(found, EngineRejected)
    assert f"whoever asks ({status}): cluster_block_exception {reason.rstrip(';')}. Take" in found.message
    assert "FORBIDDEN/5" in found.message
    assert "user" not in found.message


@pytest.mark.parametrize("status", [400, 403])
def test_a_closed_index_is_told_from_a_wrong_request(status: int) -> None:
    found = from_exception(theirs.TransportError(status, "x", body("index_closed_exception", "closed")), address="a")
    assert isinstance(found, EngineRejected)
    assert found.message == f"The index is closed ({status}): open it by POST /INDEX/_open."


def test_an_error_body_given_as_text_is_read_too() -> None:
    text = orjson.dumps(body("index_not_found_exception", "no such index [a]")).decode()
    found = from_exception(theirs.NotFoundError(404, text, None), address="a")
    assert isinstance(found, IndexNotFound)
    assert "no such index [a]" in found.message


@pytest.mark.parametrize("status", [400, 403, 404, 405, 429, 500, 503])
def test_an_answer_without_a_reason_says_that(status: int) -> None:
    found = from_exception(theirs.TransportError(status, "", {"detail": "Not Found"}), address="a")
    assert found.message.endswith(f"({status}): no reason given.")


@pytest.mark.parametrize("key", ["cause", "reason"])
def test_what_one_of_many_documents_met_is_told(key: str) -> None:
    met = {"type": "cluster_block_exception", "reason": "index [ro] blocked by: [FORBIDDEN/8/index write (api)];"}
    told = {"took": 3, "updated": 0, "failures": [{"index": "ro", "id": "1", key: met, "status": 403}]}
    found = from_exception(theirs.AuthorizationException(403, "x", told), address="a")
    assert "whoever asks (403)" in found.message
    assert "FORBIDDEN/8" in found.message


@pytest.mark.parametrize("failures", [None, [], {}, ["x"], [{}], [{"cause": None}]])
def test_failures_of_another_shape_are_no_reason(failures: object) -> None:
    found = from_exception(theirs.RequestError(400, "x", {"failures": failures}), address="a")
    assert found.message.endswith("(400): no reason given.")


def test_a_proxys_error_page_is_no_crash() -> None:
    found = from_exception(theirs.TransportError(503, "<html>Busy</html>", None), address="a")
    assert isinstance(found, EngineUnavailable)
    assert "html" not in found.message


def test_every_exception_of_the_client_is_mapped() -> None:
    arguments: dict[str, tuple[object, ...]] = {
        name: ("N/A", "gone", OSError("gone")) for name in ("ConnectionError", "SSLError", "ConnectionTimeout")
    }
    for name, kind in inspect.getmembers(theirs, inspect.isclass):
        if not issubclass(kind, theirs.OpenSearchException | theirs.ImproperlyConfigured) or issubclass(kind, Warning):
            continue
        given = arguments.get(name, (400, "bad", {}) if issubclass(kind, theirs.TransportError) else ("bad",))
        assert isinstance(from_exception(kind(*given), address="a"), EngineError), name


def test_an_untrusted_certificate_says_so() -> None:
    error = theirs.ConnectionError("N/A", "x", OSError("certificate verify failed: self-signed certificate"))
    assert "known authority" in from_exception(error, address="https://c").message


@pytest.mark.parametrize(
    "reason",
    [
        f"Failed to parse query [{SECRET}]",
        f'Failed to parse "{SECRET}" as a date',
        "failed to parse date field [plutonium] with format [strict_date]",
        f"cannot parse {SECRET} at all",
    ],
)
def test_a_users_text_is_not_repeated(reason: str) -> None:
    sent = {"query": {"query_string": {"query": SECRET, "default_field": "text"}}, "size": 3}
    message = from_cause(Cause(400, "query_shard_exception", reason), sent=sent).message
    assert "plutonium" not in message
    assert "query_shard_exception" in message


def test_what_is_no_users_text_is_told() -> None:
    sent = {"query": {"rank_feature": {"field": "splade.x", "linear": {}}}, "sort": [{"nope": "asc"}]}
    message = from_cause(Cause(400, "x", "No mapping found for [nope] in order to sort on"), sent=sent).message
    assert "[nope]" in message


def test_the_deepest_reason_is_told() -> None:
    error = {
        "type": "mapper_parsing_exception",
        "reason": "failed to parse",
        "caused_by": {"type": "illegal_argument_exception", "reason": "featureValue must be finite"},
    }
    cause = Cause.parse(400, error)
    assert cause.type == "mapper_parsing_exception"
    assert "featureValue must be finite" in cause.reason


@pytest.mark.parametrize("error", [None, "text", 7, [], {"type": None}])
def test_a_cause_is_read_from_anything(error: object) -> None:
    assert Cause.parse(400, error).status == 400


def test_the_cause_of_a_cause_is_told() -> None:
    outer = {"type": "parsing_exception", "reason": "Failed to parse: [1:9] [bool] failed to parse field [filter]"}
    unknown = {"type": "named_object_not_found_exception", "reason": "[1:8] unknown field [foo]"}
    middle = {"type": "x_content_parse_exception", "reason": "[1:9] in between", "caused_by": unknown}
    found = Cause.parse(400, {**outer, "root_cause": [outer], "caused_by": middle})
    assert found.reason == f"{outer['reason']}: {unknown['reason']}"


@pytest.mark.parametrize("text", ['plutonium "/where [a TO', "plutonium [x] 'y", "a [plutonium"])
def test_a_text_with_brackets_and_quotation_marks_is_not_repeated(text: str) -> None:
    cause = Cause(400, "query_shard_exception", f"Failed to parse query [{text}]: Cannot parse '{text}'")
    found = from_cause(cause, sent={"query": {"query_string": {"query": text}}})
    assert "plutonium" not in found.message
    assert "Failed to parse query" in found.message


def test_an_escaped_piece_of_a_text_is_not_repeated() -> None:
    cause = Cause(
        400, "token_mgr_error", 'Lexical error. Encountered: <EOF> after prefix "\\"/plutonium [a TO" (in state 2)'
    )
    found = from_cause(cause, sent={"query": 'buy "/plutonium [a TO'})
    assert found.message.endswith("after prefix […] (in state 2).")


def test_of_a_parsers_reason_the_first_line_is_told() -> None:
    inner = {"type": "parse_exception", "reason": "Encountered <EOF>.\nWas expecting one of:\n  <AND>"}
    assert Cause.parse(400, {"reason": "Failed", "caused_by": inner}).reason == "Failed: Encountered <EOF>."


def test_overload_says_when_to_come_again() -> None:
    assert from_cause(Cause(429)).retry_after == 1.0
