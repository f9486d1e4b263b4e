"""The admin port: probes, metrics and build information. Plaintext and without a token: never make it public."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sidecar.inference import InferenceService
from sidecar.server import metrics
from sidecar.server.http.answers import json_response
from sidecar.server.searching import SearchPlan
from sidecar.server.state import ServerState
from sidecar.server.tls import posture
from sidecar.settings import Settings

__all__ = ["create_admin_app"]


def create_admin_app(
    service: InferenceService | None, settings: Settings, state: ServerState, plan: SearchPlan | None = None
) -> Starlette:
    """Build the application of the admin port, which may be up before there is a service.

    `/livez` depends on nothing but that the process answers; `/readyz` is 200 only between warm-up and drain;
    `/startupz` is 200 once warm-up was completed, for ever after.
    """
    if service is not None:
        metrics.watch(service)

    async def livez(request: Request) -> Response:
        return _probe(state.live, "live")

    async def readyz(request: Request) -> Response:
        return _probe(state.ready, str(state.phase))

    async def startupz(request: Request) -> Response:
        return _probe(state.started, str(state.phase))

    async def prometheus(request: Request) -> Response:
        metrics.describe_models(state.models)
        return Response(metrics.render(), media_type=metrics.CONTENT_TYPE)

    async def buildinfo(request: Request) -> Response:
        access = {"token_required": settings.auth_token is not None, "tls": posture(settings)}
        return json_response({**state.build_info(), **access, "search": None if plan is None else plan.facts()})

    routes = {
        "/livez": livez,
        "/readyz": readyz,
        "/startupz": startupz,
        "/metrics": prometheus,
        "/buildinfo": buildinfo,
    }
    return Starlette(routes=[Route(path, endpoint, methods=["GET"]) for path, endpoint in routes.items()])


def _probe(fine: bool, text: str) -> Response:
    return PlainTextResponse(f"{text}\n", 200 if fine else 503)
