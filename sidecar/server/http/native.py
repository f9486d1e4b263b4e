"""The native routes: encode, and the models that are served."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from sidecar.domain import EncodeResult
from sidecar.errors import UnknownModel
from sidecar.server.http.answers import json_response, timings_json
from sidecar.server.http.problems import problem_schema
from sidecar.server.http.route import EdgeRoute
from sidecar.server.http.schemas import EncodeAnswer, EncodeBody, ModelAnswer, ModelsAnswer
from sidecar.server.http.work import CurrentWork

__all__ = ["PROBLEMS", "router"]

PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "The request.", "content": {"application/problem+json": {"schema": problem_schema()}}},
    "5XX": {"description": "The sidecar.", "content": {"application/problem+json": {"schema": problem_schema()}}},
}

router = APIRouter(route_class=EdgeRoute, tags=["native"], responses=PROBLEMS)


@router.post("/v1/encode", summary="Encode texts into sparse vectors", responses={200: {"model": EncodeAnswer}})
async def encode(body: EncodeBody, work: CurrentWork) -> Response:
    """Encode a batch of any size; vectors are pruned and in descending order of weight."""
    result = await work.encode(
        body.texts,
        side=body.side,
        lane=body.lane,
        model=body.model,
        pruning=None if body.pruning is None else body.pruning.to_domain(),
        windows=body.windows.to_domain(),
        return_terms=body.return_terms,
        expected_fingerprint=body.expected_fingerprint,
    )
    return json_response(_encoded(result))


@router.get("/v1/models", summary="List the models", responses={200: {"model": ModelsAnswer}})
async def models(work: CurrentWork) -> Response:
    """List what is served, with fingerprints."""
    served = [ModelAnswer.of(model) for model in work.edge.service.models()]
    return json_response(ModelsAnswer(models=served).model_dump(mode="json"))


@router.get("/v1/models/{name}", summary="Describe one model", responses={200: {"model": ModelAnswer}})
async def model(name: str, work: CurrentWork) -> Response:
    """Describe one model, or answer 404."""
    for served in work.edge.service.models():
        if served.name == name:
            return json_response(ModelAnswer.of(served).model_dump(mode="json"))
    raise UnknownModel("No model of that name is served: see /v1/models.", field="name")


def _encoded(result: EncodeResult) -> dict[str, object]:
    return {
        "encodings": [
            {
                "vector": {
                    "term_ids": encoding.vector.term_ids,
                    "weights": encoding.vector.weights,
                    "terms": encoding.vector.terms,
                },
                "truncated": encoding.truncated,
                "windows": encoding.windows,
                "tokens": encoding.tokens,
                "repetition": encoding.repetition,
            }
            for encoding in result.encodings
        ],
        "model": result.model,
        "fingerprint": result.fingerprint,
        "timings": timings_json(result.timings),
    }
