"""Weaviate's `reranker-transformers` module: set `RERANKER_INFERENCE_API=http://HOST:8080/weaviate`."""

from __future__ import annotations

from typing import Any, ClassVar

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, StrictStr
from starlette.responses import Response

from sidecar.domain import ModelKind
from sidecar.errors import NotReady
from sidecar.server.http.answers import json_response
from sidecar.server.http.dialects.common import ModelParameter, explained
from sidecar.server.http.every_hit import rerank_every
from sidecar.server.http.problems import Problem, Renderer
from sidecar.server.http.route import OPEN_TO_ALL, EdgeRoute
from sidecar.server.http.schemas import Texts
from sidecar.server.http.work import CurrentWork

__all__ = ["render_error", "router"]


def render_error(problem: Problem) -> Response:
    """Render as `{"error": message}`."""
    return json_response({"error": explained(problem)}, problem.status, problem.headers)


class WeaviateRoute(EdgeRoute):
    """Routes whose errors Weaviate can read."""

    render: ClassVar[Renderer] = staticmethod(render_error)


class WeaviateProbeRoute(WeaviateRoute):
    """As above, without a token and at any time: Weaviate waits for these before it starts."""

    open_to_all: ClassVar[bool] = True


class WeaviateError(BaseModel):
    """What Weaviate reads of a failure."""

    error: str


ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": WeaviateError, "description": "The request."},
    "5XX": {"model": WeaviateError, "description": "The sidecar."},
}

router = APIRouter(route_class=WeaviateRoute, tags=["weaviate"], responses=ERRORS)
probes = APIRouter(route_class=WeaviateProbeRoute, tags=["weaviate"], responses=ERRORS)


class RerankBody(BaseModel):
    """What the module sends."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    query: StrictStr
    documents: Texts


class Score(BaseModel):
    """One scored document."""

    document: str
    score: float


class RerankAnswer(BaseModel):
    """Scores in the order of the request: the module matches them by position."""

    query: str
    scores: list[Score]


@router.post("/weaviate/rerank", summary="Score documents", responses={200: {"model": RerankAnswer}})
async def rerank(body: RerankBody, work: CurrentWork, model: ModelParameter = None) -> Response:
    """Score every document, the lowest where there is no text; the answer keeps their order."""
    result = await rerank_every(work, body.query, body.documents, model=model)
    in_order = sorted(result.results, key=lambda document: document.index)
    scores = [{"document": body.documents[document.index], "score": float(document.score)} for document in in_order]
    return json_response({"query": body.query, "scores": scores})


@probes.get(
    "/weaviate/.well-known/live", status_code=204, summary="Whether the process answers", openapi_extra=OPEN_TO_ALL
)
async def live(work: CurrentWork) -> Response:
    """Answer 204."""
    del work
    return Response(status_code=204)


@probes.get(
    "/weaviate/.well-known/ready", status_code=204, summary="Whether texts are answered now", openapi_extra=OPEN_TO_ALL
)
async def ready(work: CurrentWork) -> Response:
    """Answer 204, or 503 while warming up or draining."""
    if not work.edge.state.ready:
        raise NotReady("The sidecar is warming up or draining.", retry_after=1.0)
    return Response(status_code=204)


@router.get("/weaviate/meta", summary="The served cross-encoders", responses={200: {"description": "By name."}})
async def meta(work: CurrentWork) -> Response:
    """Describe the cross-encoders by name."""
    rerankers = [model for model in work.edge.service.models() if model.kind is ModelKind.CROSS_ENCODER]
    return json_response(
        {
            model.name: {"fingerprint": model.fingerprint, "max_tokens": model.max_tokens, "license": model.license}
            for model in rerankers
        }
    )


router.include_router(probes)
