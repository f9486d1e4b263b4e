"""Searching over HTTP: there where the operator set a cluster, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter
from starlette.responses import Response

from sidecar.errors import InvalidInput
from sidecar.search.text import MAX_RESULT_WINDOW
from sidecar.server.http.answers import json_response
from sidecar.server.http.native import PROBLEMS
from sidecar.server.http.route import EdgeRoute
from sidecar.server.http.search_schemas import (
    AugmentAnswer,
    AugmentBody,
    BodySearchAnswer,
    SearchAnswer,
    SearchBody,
)
from sidecar.server.http.work import CurrentWork, Work
from sidecar.server.searching import BodyCall, SearchCall, SearchService, shown_source

__all__ = ["body_router", "router"]


class SearchRoute(EdgeRoute):
    """Routes whose bodies hold queries: smaller than those with texts, and no deeper than clusters take them."""

    max_bytes = 1_048_576
    max_depth = 64
    exact = True


router = APIRouter(route_class=SearchRoute, tags=["native"], responses=PROBLEMS)

body_router = APIRouter(route_class=SearchRoute, tags=["native"], responses=PROBLEMS)
"""Apart, because it is there only where the operator allows callers' own bodies."""


@router.post("/v1/search", summary="Search an index by a profile", responses={200: {"model": SearchAnswer}})
async def search(body: SearchBody, work: CurrentWork) -> Response:
    """Retrieve, fuse and rerank; a stage that fails is left out, and `degraded` says so."""
    if body.from_ + body.size > MAX_RESULT_WINDOW:
        raise InvalidInput(f"from + size must be <= {MAX_RESULT_WINDOW:,}.", field="from")
    asked = SearchCall(
        index=body.index,
        profile=body.profile,
        text=body.text,
        size=body.size,
        from_=body.from_,
        filter=body.filter,  # type: ignore[arg-type]  # JSON, of which the decoder made nothing else
        explain=body.explain,
        passages=body.passages,
        preference=body.preference,
    )
    result = await _service(work).search(asked, work.deadline)
    hits = tuple(replace(hit, source=shown_source(hit.source, body.show)) for hit in result.hits)
    return json_response(replace(result, hits=hits))


@router.post("/v1/augment", summary="Put a profile into a _search body", responses={200: {"model": AugmentAnswer}})
async def augment(body: AugmentBody, work: CurrentWork) -> Response:
    """Return the body with sparse clauses in it, for applications that ask the cluster themselves."""
    return json_response(await _service(work).augment(_call(body), work.deadline))


@body_router.post(
    "/v1/search/body",
    summary="Run a _search body, augmented and reranked",
    responses={200: {"model": BodySearchAnswer}},
)
async def search_body(body: AugmentBody, work: CurrentWork) -> Response:
    """Answer as the cluster does, its hits in the reranked order."""
    result = await _service(work).search_body(_call(body), work.deadline)
    told = {
        "unchanged": result.unchanged,
        "not_reranked": result.not_reranked,
        "degraded": result.degraded,
        "degraded_stage": result.degraded_stage,
        "timings": result.timings,
    }
    return json_response({**result.response, "splade_sidecar": told})


def _call(body: AugmentBody) -> BodyCall:
    return BodyCall(
        index=body.index,
        profile=body.profile,
        body=body.body,  # type: ignore[arg-type]  # JSON, of which the decoder made nothing else
        text=body.text,
        matching=body.matching,
        preference=body.preference,
    )


def _service(work: Work) -> SearchService:
    searching = work.edge.searching
    if searching is None:
        raise AssertionError("These routes are there only where there is a cluster to search; this is a bug.")
    return searching
