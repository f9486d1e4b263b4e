"""Puts the routes of all dialects into one application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from sidecar import __version__
from sidecar.inference import InferenceService
from sidecar.server import metrics
from sidecar.server.http import native, rerank, searching
from sidecar.server.http.dialects import elasticsearch, ml_commons, tei, weaviate
from sidecar.server.http.problems import Problem, problem_json
from sidecar.server.http.request_id import RequestIdMiddleware
from sidecar.server.http.work import Edge
from sidecar.server.searching import SearchService
from sidecar.server.state import ServerState
from sidecar.settings import Settings

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig

__all__ = ["create_http_app"]

ROUTERS = (native.router, rerank.router, tei.router, ml_commons.router, elasticsearch.router, weaviate.router)

DESCRIPTION = """Learned-sparse encoding and reranking beside a search cluster.

Every answer carries `x-request-id`. `x-request-timeout` (seconds) bounds a call; work whose caller hung up is dropped.
"""


NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""Of FastAPI's own making: it would send off query strings and the messages of errors, which are callers' words, in any
process that has set up opentelemetry. The sidecar's spans are its own."""


def create_http_app(
    service: InferenceService, settings: Settings, state: ServerState, search: SearchService | None = None
) -> FastAPI:
    """Build the application of the data port. It owns none of its arguments: whoever made them closes them.

    The searching routes are there only with `search`, and the one for callers' own bodies only where its plan has them.
    """
    app = FastAPI(
        title="splade-sidecar",
        version=__version__,
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        generate_unique_id_function=_operation_id,
        telemetry=NO_TELEMETRY,
    )
    app.state.edge = Edge(service, settings, state, search)
    for router in ROUTERS:
        app.include_router(router)
    if search is not None:
        app.include_router(searching.router)
        if search.plan.bodies:
            app.include_router(searching.body_router)
    app.add_middleware(RequestIdMiddleware)
    if settings.tracing != "off":
        from sidecar.server.tracing.http import TracingMiddleware

        app.add_middleware(TracingMiddleware)
    app.add_exception_handler(HTTPException, _no_such_route)
    if settings.auth_token is not None:
        _declare_token(app)
    metrics.watch(service)
    return app


def _operation_id(route: APIRoute) -> str:
    """Name operations by dialect and function, so that generated clients get methods worth reading."""
    return f"{route.tags[0]}-{route.name}".replace("-", "_")


async def _no_such_route(request: Request, error: Exception) -> Response:
    """What no route answered: Starlette's 404 and 405, as problems."""
    if not isinstance(error, HTTPException):
        raise error
    reasons = {404: ("NO_SUCH_ROUTE", "See /openapi.json."), 405: ("METHOD_NOT_ALLOWED", "See /openapi.json.")}
    reason, detail = reasons.get(error.status_code, ("HTTP_ERROR", "The request is not one this server answers."))
    response = problem_json(Problem(error.status_code, reason, detail))
    response.headers.update(error.headers or {})
    return response


def _declare_token(app: FastAPI) -> None:
    """Say in the OpenAPI document that a token is needed, except where a route says otherwise with OPEN_TO_ALL.

    `EdgeRoute` is what asks for it.
    """
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        schema = plain()
        schema.setdefault("components", {})["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{"token": []}]
        return schema

    app.openapi = openapi  # type: ignore[method-assign]
