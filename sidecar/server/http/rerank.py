"""Reranking in the shape of Cohere and Jina, which is the native one too, with a few more fields."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr
from starlette.responses import Response

from sidecar.domain import Lane, RerankResult
from sidecar.server.http.answers import json_response, timings_json
from sidecar.server.http.every_hit import rerank_every
from sidecar.server.http.native import PROBLEMS
from sidecar.server.http.route import EdgeRoute
from sidecar.server.http.schemas import TimingsAnswer, WindowsBody
from sidecar.server.http.work import CurrentWork, Work

__all__ = ["DocumentBody", "RerankAnswer", "RerankBody", "ranked", "rerank", "router", "text_of"]

router = APIRouter(route_class=EdgeRoute, tags=["native", "cohere", "jina"], responses=PROBLEMS)


class DocumentBody(BaseModel):
    """A document given as an object; fields beside its text are not read."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    text: StrictStr


class RerankBody(BaseModel):
    """Cohere's and Jina's request. Fields of theirs that are not listed here are accepted and not read."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    query: StrictStr
    documents: Annotated[list[StrictStr | DocumentBody], Field(fail_fast=True)]
    top_n: StrictInt | None = Field(default=None, ge=1, description="Absent: all documents are returned.")
    return_documents: StrictBool = False
    model: StrictStr | None = Field(default=None, description="Absent: the default cross-encoder.")
    windows: WindowsBody = WindowsBody()
    lane: Lane = Lane.RERANK
    expected_fingerprint: StrictStr | None = Field(default=None, description="409 unless the model has it.")


class RankedAnswer(BaseModel):
    """One scored document."""

    index: int = Field(description="Position in the request.")
    relevance_score: float = Field(description="After the model's score activation.")
    logit: float = Field(description="Before it.")
    truncated: bool
    windows: int
    document: DocumentBody | None = Field(default=None, description="Only with `return_documents`.")


class ApiVersion(BaseModel):
    """Of Cohere's API, as in the path."""

    version: str


class Meta(BaseModel):
    """As Cohere has it."""

    api_version: ApiVersion


class RerankAnswer(BaseModel):
    """Documents by descending score, ties by index."""

    id: str = Field(description="The request's id.")
    results: list[RankedAnswer]
    meta: Meta
    model: str
    fingerprint: str
    timings: TimingsAnswer


@router.post("/v1/rerank", summary="Score documents against a query", responses={200: {"model": RerankAnswer}})
async def rerank_v1(body: RerankBody, work: CurrentWork) -> Response:
    """Score every document with a cross-encoder; the best come first."""
    return await rerank(body, work, version="1")


@router.post("/v2/rerank", summary="Score documents against a query", responses={200: {"model": RerankAnswer}})
async def rerank_v2(body: RerankBody, work: CurrentWork) -> Response:
    """The same as /v1/rerank, under the path of Cohere's second version."""
    return await rerank(body, work, version="2")


async def rerank(body: RerankBody, work: Work, *, version: str, blank_last: bool = False) -> Response:
    """Answer one request in Cohere's shape; `blank_last`: a document without text is no error, and comes last."""
    documents = [text_of(document) for document in body.documents]
    scored = partial(rerank_every, work) if blank_last else work.rerank
    result = await scored(
        body.query,
        documents,
        lane=body.lane,
        model=body.model,
        windows=body.windows.to_domain(),
        expected_fingerprint=body.expected_fingerprint,
    )
    return json_response(
        {
            "id": work.request_id,
            "results": ranked(result, documents if body.return_documents else None, body.top_n),
            "meta": {"api_version": {"version": version}},
            "model": result.model,
            "fingerprint": result.fingerprint,
            "timings": timings_json(result.timings),
        }
    )


def text_of(document: str | DocumentBody) -> str:
    """Return a document's text, whichever way it was given."""
    return document if isinstance(document, str) else document.text


def ranked(
    result: RerankResult, documents: Sequence[str] | None = None, top_n: int | None = None
) -> list[dict[str, object]]:
    """Return the best `top_n` results, scores always as floats; with their texts where `documents` is given."""
    rows: list[dict[str, object]] = []
    for document in result.results[:top_n]:
        row: dict[str, object] = {
            "index": document.index,
            "relevance_score": float(document.score),
            "logit": float(document.logit),
            "truncated": document.truncated,
            "windows": document.windows,
        }
        if documents is not None:
            row["document"] = {"text": documents[document.index]}
        rows.append(row)
    return rows
