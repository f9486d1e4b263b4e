"""What every route has: token, request id, deadline, phase, hang-ups, many callers at once, errors of our own."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import orjson
import pytest
import structlog

from sidecar.errors import Cancelled
from sidecar.server import incidents
from sidecar.server.http.work import until_disconnect
from sidecar.server.repeats import Repeats
from tests.unit.http_edge.conftest import Serve, Served
from tests.unit.http_edge.test_bad_input import JSON, ROUTES, message_of

LONG = "the weather in the city of new york and the river by the house with a cat and a dog on the road " * 4


# --- token -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer wrong", "Basic sesame", "sesame", "Bearer sesame2", b"Bearer s\xe9same"]
)
def test_data_routes_ask_for_the_token(serve: Serve, given: str | bytes | None) -> None:
    http = serve(auth_token="sesame").http
    headers = httpx.Headers(JSON if given is None else {**JSON, "authorization": given})
    for path, body in ROUTES.items():
        response = http.post(path, content=(body % "cat").encode(), headers=headers)
        assert response.status_code == 401, path
        assert response.headers["www-authenticate"] == "Bearer"
        assert "sesame" not in message_of(path, response)


@pytest.mark.parametrize("given", ["Bearer sesame", "bearer sesame", "BEARER  sesame"])
def test_the_right_token_opens(serve: Serve, given: str) -> None:
    http = serve(auth_token="sesame").http
    for path, body in ROUTES.items():
        response = http.post(path, content=(body % "cat").encode(), headers={**JSON, "authorization": given})
        assert response.status_code == 200, response.text
    assert http.get("/v1/models", headers={"authorization": given}).status_code == 200
    assert http.get("/info").status_code == 401


def test_a_token_beyond_ascii_is_compared_as_bytes(serve: Serve) -> None:
    http = serve(auth_token="sésame").http
    assert http.get("/v1/models", headers={"authorization": "Bearer sésame".encode()}).status_code == 200


def test_a_request_without_token_is_refused_before_its_body_is_read(serve: Serve) -> None:
    http = serve(auth_token="sesame").http
    assert http.post("/v1/encode", content=b"{", headers=JSON).status_code == 401


# --- request id, deadline, phase ---------------------------------------------------------------------------------


def test_a_harmless_request_id_is_kept(http: httpx.Client) -> None:
    for path in ("/v1/models", "/health", "/nowhere", "/v1/models/nobody"):
        assert http.get(path, headers={"x-request-id": "trace-1/a.b:c"}).headers["x-request-id"] == "trace-1/a.b:c"


@pytest.mark.parametrize("given", [None, "", "a b", "é".encode(), "x" * 129, "<script>"])
def test_any_other_request_id_is_replaced(http: httpx.Client, given: str | bytes | None) -> None:
    headers = httpx.Headers({} if given is None else {"x-request-id": given})
    first, second = (http.get("/health", headers=headers).headers["x-request-id"] for _ in range(2))
    assert len(first) == 32
    assert first != second


@pytest.mark.parametrize("given", ["0", "-1", "nan", "inf", "soon", ""])
def test_a_timeout_is_a_number_of_seconds(http: httpx.Client, given: str) -> None:
    response = http.post("/v1/encode", json={"texts": ["cat"]}, headers={"x-request-timeout": given})
    assert (response.status_code, response.json()["field"]) == (422, "x-request-timeout")


def test_the_callers_deadline_ends_the_call(http: httpx.Client) -> None:
    began = time.monotonic()
    body = {"texts": [LONG] * 2_000, "lane": "bulk"}
    response = http.post("/v1/encode", json=body, headers={"x-request-timeout": "0.2"})
    assert (response.status_code, response.json()["reason"]) == (504, "DEADLINE_EXCEEDED")
    assert time.monotonic() - began < 10
    generous = http.post("/v1/encode", json={"texts": ["cat"]}, headers={"x-request-timeout": "30"})
    assert generous.status_code == 200


def test_the_setting_ends_calls_without_a_deadline(serve: Serve) -> None:
    http = serve(request_timeout=0.05).http
    response = http.post("/rerank", json={"query": "cat", "texts": [LONG] * 2_000})
    assert (response.status_code, response.json()["error_type"]) == (504, "Backend")


def test_a_body_that_never_ends_does_not_hold_the_call(serve: Serve) -> None:
    served = serve(request_timeout=0.2)
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as caller:
        head = "POST /rerank HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"
        caller.sendall(head.encode())
        answer = b""
        while not answer.endswith(b"}"):
            answer += caller.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 504 ")
    assert b'"error_type":"Backend"' in answer


def test_before_warm_up_is_over_nothing_is_encoded(serve: Serve) -> None:
    served = serve(ready=False)
    for path, body in ROUTES.items():
        response = served.http.post(path, content=(body % "cat").encode(), headers=JSON)
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert message_of(path, response)


def test_while_draining_calls_are_still_answered(serve: Serve) -> None:
    served = serve()
    served.state.begin_draining()
    assert served.http.post("/v1/encode", json={"texts": ["cat"]}).status_code == 200


def test_what_no_route_answers_is_a_problem(http: httpx.Client) -> None:
    for method, path, status in (("GET", "/nowhere", 404), ("GET", "/v1/encode", 405), ("POST", "/info", 405)):
        response = http.request(method, path)
        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["status"] == status
    assert http.get("/v1/encode").headers["allow"] == "POST"


# --- many callers, overload --------------------------------------------------------------------------------------


def test_many_callers_get_their_own_answers(served: Served) -> None:
    words = ["cat", "dog", "river", "london", "weather", "query", "python", "blood"]
    alone = {word: served.http.post("/ml-commons/sparse/document", json=[word]).json()[0] for word in words}

    def call(number: int) -> bool:
        word = words[number % len(words)]
        answer = served.http.post("/ml-commons/sparse/document", json=[word]).json()[0]
        return bool(answer == pytest.approx(alone[word], rel=1e-4))

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(call, range(160)))


def test_a_full_queue_answers_at_once_with_when_to_come_again_and_one_line_of_log(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve(own_service=True, max_queue_tokens=1_024, max_batch_tokens=128)

    def call(number: int) -> httpx.Response:
        path = "/ml-commons/sparse/document" if number % 2 else "/v1/encode"
        body = [LONG] * 8 if number % 2 else {"texts": [LONG] * 8, "lane": "bulk"}
        return served.http.post(path, json=body)

    monkeypatch.setattr(incidents, "refusals", Repeats(seconds=3_600.0))
    with structlog.testing.capture_logs() as logged, ThreadPoolExecutor(32) as pool:
        responses = list(pool.map(call, range(200)))
    assert {response.status_code for response in responses} == {200, 429}
    (line,) = [line for line in logged if line["event"].startswith("overloaded")]
    assert (line["log_level"], line["left_out"]) == ("warning", 0)
    assert LONG not in str(line)
    for response in responses:
        if response.status_code == 429:
            assert int(response.headers["retry-after"]) >= 1
            if response.url.path == "/v1/encode":
                assert response.json()["reason"] == "OVERLOADED"
            else:
                assert response.headers["x-amzn-errortype"] == "ThrottlingException"
                assert response.json()["status"] == 429


# --- hang-ups ----------------------------------------------------------------------------------------------------


def _waiting(served: Served) -> int:
    return sum(sum(figures.waiting_tokens.values()) for figures in served.service.figures().values())


def _until(condition: object, seconds: float = 60.0) -> None:
    assert callable(condition)
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "did not happen in time"
        time.sleep(0.01)


def test_work_of_a_caller_who_hung_up_is_dropped(serve: Serve) -> None:
    served = serve(own_service=True, max_batch_tokens=128)
    texts = 12_000
    body = orjson.dumps({"texts": [LONG] * texts, "lane": "bulk"})
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as caller:
        head = (
            f"POST /v1/encode HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        )
        caller.sendall(head.encode() + b"\r\n" + body)
        _until(lambda: _waiting(served) > 0)
    _until(lambda: _waiting(served) == 0)
    time.sleep(0.3)  # what runs when the caller leaves, runs to its end
    done = served.service.figures()["tiny-sparse"].items
    assert done < texts / 2
    time.sleep(0.3)
    assert served.service.figures()["tiny-sparse"].items == done
    assert served.http.post("/v1/encode", json={"texts": ["cat"]}).status_code == 200


async def test_the_result_is_returned_while_the_caller_waits() -> None:
    hung_up = asyncio.Event()

    async def receive() -> dict[str, str]:
        await hung_up.wait()
        return {"type": "http.disconnect"}

    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    assert await until_disconnect(receive, work()) == 7


async def test_a_hang_up_cancels_the_work() -> None:
    cancelled = asyncio.Event()

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    with pytest.raises(Cancelled):
        await until_disconnect(receive, work())
    assert cancelled.is_set()


async def test_an_error_of_the_work_comes_through() -> None:
    async def receive() -> dict[str, str]:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def work() -> None:
        raise ValueError("seven")

    with pytest.raises(ValueError, match="seven"):
        await until_disconnect(receive, work())


# --- errors of our own -------------------------------------------------------------------------------------------


def test_an_unexpected_error_is_logged_without_any_text(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    served = serve(own_service=True)

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the secret text of a user")

    monkeypatch.setattr(served.service, "encode", broken)
    with structlog.testing.capture_logs() as entries:
        response = served.http.post("/v1/encode", json={"texts": ["the secret text of a user"]})
    assert response.status_code == 500
    problem = response.json()
    assert problem["reason"] == "INTERNAL"
    assert "secret" not in response.text
    failures = [entry for entry in entries if entry["event"] == "failed"]
    assert [entry["error"] for entry in failures] == ["RuntimeError"]
    assert failures[0]["request_id"] == response.headers["x-request-id"]
    assert "secret" not in str(entries)


def test_no_request_leaves_its_text_in_the_log(http: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as entries:
        for path, body in ROUTES.items():
            http.post(path, content=(body % "xylophonequartz").encode(), headers=JSON)
            http.post(path, content=(body % "xylophonequartz").encode()[:-1], headers=JSON)
    assert "xylophone" not in str(entries)
    assert "xylophone" not in caplog.text
    answered = [entry for entry in entries if entry["event"] == "answered"]
    assert len(answered) == 2 * len(ROUTES)
