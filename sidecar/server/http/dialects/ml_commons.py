"""ml-commons remote connectors: answers that neural-search takes as they are, without a post-process function.

A connector's answer to a sparse model is a bare list with one `{token: weight}` per text. Nothing in the request tells
a query from a document, so each has a route, a connector and a model of its own in the cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StrictStr, model_validator
from starlette.responses import Response

from sidecar.domain import WHOLE_TEXT, Lane, Side, SparseVector, Windows
from sidecar.server.http.answers import json_response
from sidecar.server.http.dialects.common import ModelParameter, as_features, called, explained, is_blank
from sidecar.server.http.problems import Problem, Renderer
from sidecar.server.http.rerank import RerankAnswer, RerankBody, rerank
from sidecar.server.http.route import EdgeRoute
from sidecar.server.http.schemas import Texts
from sidecar.server.http.work import CurrentWork, Work

__all__ = ["render_error", "router"]

THROTTLED = {"x-amzn-errortype": "ThrottlingException"}
"""What makes ml-commons before 3.8 try again: it knows no other sign of overload."""

TOKEN_ID_FORMATS = frozenset({"token_id", "TOKEN_ID"})

Format = Literal["word", "WORD", "lexical", "LEXICAL", "token_id", "TOKEN_ID"]


def render_error(problem: Problem) -> Response:
    """Render in the shape of the cluster's own errors, since the cluster passes it on word by word."""
    headers = problem.headers | (THROTTLED if problem.status == 429 else {})
    content = {"error": {"type": problem.reason.lower(), "reason": explained(problem)}, "status": problem.status}
    return json_response(content, problem.status, headers)


class MlCommonsRoute(EdgeRoute):
    """Routes whose errors look like the cluster's."""

    render: ClassVar[Renderer] = staticmethod(render_error)


class ErrorCause(BaseModel):
    """What went wrong."""

    type: str
    reason: str


class MlCommonsError(BaseModel):
    """As OpenSearch itself answers."""

    error: ErrorCause
    status: int


ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": MlCommonsError, "description": "The request."},
    "5XX": {"model": MlCommonsError, "description": "The sidecar."},
}

router = APIRouter(route_class=MlCommonsRoute, tags=["ml-commons"], responses=ERRORS)


class ConnectorBody(BaseModel):
    """An object around the texts, under whichever of three names the connector's author chose."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    texts: StrictStr | Texts | None = None
    inputs: StrictStr | Texts | None = None
    input: StrictStr | Texts | None = None
    sparse_embedding_format: Format = Field(default="word", description="`token_id`: vocabulary ids as keys.")

    @model_validator(mode="after")
    def _one_name(self) -> ConnectorBody:
        if sum(given is not None for given in (self.texts, self.inputs, self.input)) != 1:
            raise ValueError("give the texts under one of texts, inputs, input")
        return self

    def given(self) -> tuple[str, str | list[str]]:
        """Return the one name, and what was given under it."""
        named = (("texts", self.texts), ("inputs", self.inputs), ("input", self.input))
        return next((name, given) for name, given in named if given is not None)


SparseBody = StrictStr | Texts | ConnectorBody


@router.post(
    "/ml-commons/sparse/document", summary="Document vectors", responses={200: {"model": list[dict[str, float]]}}
)
async def sparse_document(body: SparseBody, work: CurrentWork, model: ModelParameter = None) -> Response:
    """Encode documents in the lane of bulk work. A blank text gets `{}`: neural-search wants one map per text."""
    asked = _read(body)
    filled = [position for position, text in enumerate(asked.texts) if not is_blank(text)]
    features: list[dict[str, float]] = [{} for _ in asked.texts]
    if filled:
        encoded = await _encode(asked, filled, Side.DOCUMENT, work, model)
        for position, feature_map in zip(filled, encoded, strict=True):
            features[position] = feature_map
    return json_response(features)


@router.post("/ml-commons/sparse/query", summary="Query vectors", responses={200: {"model": list[dict[str, float]]}})
async def sparse_query(body: SparseBody, work: CurrentWork, model: ModelParameter = None) -> Response:
    """Encode queries: at most 1,024 terms, weights at most 64, as `neural_sparse` demands. A blank one is an error."""
    asked = _read(body)
    return json_response(await _encode(asked, range(len(asked.texts)), Side.QUERY, work, model))


@router.post("/ml-commons/rerank", summary="Scores, as Cohere's", responses={200: {"model": RerankAnswer}})
async def rerank_all(body: RerankBody, work: CurrentWork) -> Response:
    """Score every document. `top_n` is not applied: neural-search fails unless every document gets a score.

    It sends an empty text for a hit that lacks the field: such come last.
    """
    return await rerank(body.model_copy(update={"top_n": None}), work, version="1", blank_last=True)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a body asks for: `name` is where its texts stand, `listed` whether as a list."""

    texts: Sequence[str]
    name: str
    listed: bool
    by_id: bool

    def names(self, positions: Sequence[int]) -> dict[str, str]:
        """Return what the request calls the texts at `positions`, of which the service has only these."""
        if not self.listed:
            return {"texts[0]": self.name}
        return {"texts": self.name} | {
            f"texts[{sent}]": f"{self.name}[{position}]" for sent, position in enumerate(positions)
        }


def _read(body: str | list[str] | ConnectorBody) -> _Asked:
    name, given = body.given() if isinstance(body, ConnectorBody) else ("body", body)
    by_id = isinstance(body, ConnectorBody) and body.sparse_embedding_format in TOKEN_ID_FORMATS
    return _Asked([given] if isinstance(given, str) else list(given), name, not isinstance(given, str), by_id)


async def _encode(
    asked: _Asked, positions: Sequence[int], side: Side, work: Work, model: str | None
) -> list[dict[str, float]]:
    """Encode the texts at `positions`."""
    for_query = side is Side.QUERY
    lane = Lane.INTERACTIVE if for_query else Lane.BULK
    windows = Windows() if for_query else WHOLE_TEXT
    texts = [asked.texts[position] for position in positions]
    with called(asked.names(positions)):
        result = await work.encode(
            texts, side=side, lane=lane, model=model, windows=windows, return_terms=not asked.by_id
        )
    return [_feature_map(encoding.vector, asked.by_id, for_query) for encoding in result.encodings]


def _feature_map(vector: SparseVector, by_id: bool, for_query: bool) -> dict[str, float]:
    names = tuple(map(str, vector.term_ids)) if by_id else vector.terms
    return {names[position]: weight for position, weight in as_features(vector, for_query=for_query)}
