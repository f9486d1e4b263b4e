"""The one route class of the edge: authentication, strict body, deadline, hang-ups, metrics, errors in shape."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, ClassVar

import structlog
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response

from sidecar.engine.exact_json import exactly
from sidecar.errors import DeadlineExceeded, NotReady, Unauthenticated
from sidecar.server.http.body import JsonRequest, check_depth, parse_json, read_body
from sidecar.server.http.problems import Problem, Renderer, invalid_request, problem_json, problem_of
from sidecar.server.http.work import Edge, Work, deadline_of, until_disconnect
from sidecar.server.incidents import note_refusal, whereabouts
from sidecar.server.metrics import Call, observe
from sidecar.server.state import Phase
from sidecar.server.tracing.calls import TRACEPARENT, log_ids

__all__ = ["OPEN_TO_ALL", "EdgeRoute", "authenticate"]

OPEN_TO_ALL: dict[str, Any] = {"security": []}
"""What routes of an `open_to_all` class add to their part of the OpenAPI document."""

CUT_OFF = "The sidecar is shutting down, and the call took longer than it waits: send it elsewhere."

_log = structlog.get_logger("sidecar.http")


class EdgeRoute(APIRoute):
    """Routes of a dialect: subclass it with the dialect's renderer, and give it to the router as `route_class`."""

    render: ClassVar[Renderer] = staticmethod(problem_json)
    open_to_all: ClassVar[bool] = False
    """Whether the routes answer without a token and before the models are ready."""

    max_bytes: ClassVar[int | None] = None
    """Of a body, where that is less than the setting allows; None: the setting alone counts."""

    max_depth: ClassVar[int | None] = None
    """How deep objects and lists of a body may lie within each other; None: as deep as the decoder goes."""

    exact: ClassVar[bool] = False
    """Whether numbers that no double and no 64 bits hold keep their digits, for the cluster that gets them."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler: what goes wrong inside comes out in the dialect's shape."""
        handler, template = super().get_route_handler(), self.path
        render, open_to_all = type(self).render, type(self).open_to_all
        max_bytes, max_depth, exact = type(self).max_bytes, type(self).max_depth, type(self).exact

        async def handle(request: Request) -> Response:
            edge: Edge = request.app.state.edge
            with observe(template) as call:
                try:
                    if not open_to_all:
                        authenticate(request, edge.settings.auth_token)
                        _check_phase(edge)
                    limit = edge.settings.max_request_bytes
                    limit = limit if max_bytes is None else min(limit, max_bytes)
                    response = await _answer(request, edge, call, handler, limit, max_depth, exact=exact)
                except asyncio.CancelledError:
                    if edge.state.phase is not Phase.DRAINING:
                        raise
                    # The drain's grace is over. Let through, it would be answered with a plain 500.
                    response = render(_describe(NotReady(CUT_OFF, retry_after=1.0), call, request))
                except RequestValidationError as invalid:
                    response = render(_describe(invalid_request(invalid.errors()), call, request))
                except Exception as error:
                    response = render(_describe(error, call, request))
            if _log.is_enabled_for(logging.DEBUG):
                facts = {"route": template, "status": response.status_code, "request_id": _request_id(request)}
                _log.debug("answered", **facts, **_log_ids(request))
            return response

        return handle


def _describe(error: Exception, call: Call, request: Request) -> Problem:
    """Count the error, log it where it is our fault, and say what the caller may know."""
    call.failed(error)
    note_refusal(error, call.method)
    problem = problem_of(error)
    if problem.status == 500:
        facts = {"route": call.method, "request_id": _request_id(request), **_log_ids(request)}
        _log.error("failed", **facts, **whereabouts(error))
    return problem


def authenticate(request: Request, token: SecretStr | None) -> None:
    """Compare the bearer token in constant time; nothing is asked for where none is set. Raises Unauthenticated."""
    if token is None:
        return
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(
        given.strip().encode("latin-1"), token.get_secret_value().encode()
    ):
        raise Unauthenticated("Send the sidecar's token as `Authorization: Bearer TOKEN`.")


def _check_phase(edge: Edge) -> None:
    if edge.state.phase is Phase.STARTING:
        raise NotReady("The models are warming up: try again in a moment.", retry_after=1.0)


async def _answer(
    request: Request,
    edge: Edge,
    call: Call,
    handler: Callable[[Request], Coroutine[Any, Any, Response]],
    max_bytes: int,
    max_depth: int | None,
    *,
    exact: bool,
) -> Response:
    deadline = deadline_of(request, edge.settings.request_timeout)
    try:
        async with asyncio.timeout(deadline - time.monotonic()):
            body = await read_body(request, max_bytes)
    except TimeoutError:
        raise DeadlineExceeded("The deadline passed before the body had arrived.") from None
    content = parse_json(body, request.headers)
    if max_depth is not None:
        check_depth(content, max_depth)
    if exact:
        content = exactly(content, body)
    request.state.work = Work(edge, call, deadline, _request_id(request))
    return await until_disconnect(request.receive, handler(JsonRequest(request, body, content)))


def _request_id(request: Request) -> str:
    return str(request.state.request_id)


def _log_ids(request: Request) -> Mapping[str, str]:
    return log_ids(request.headers.get(TRACEPARENT))
