"""text-embeddings-inference: `/embed_sparse`, `/rerank`, `/info`, `/health`, as its clients know them.

TEI has one encoder for queries and documents; here `prompt_name: "query"` in the body, or `?side=query` in the URL for
clients that can't set it, asks for a query's vector. Everything else is a document. `truncate` absent means true, as
with TEI's `--auto-truncate`, which is its default.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr, field_validator
from starlette.responses import Response

from sidecar import __version__
from sidecar.domain import Lane, ModelInfo, ModelKind, RankedDocument, Side, Timings, WindowPolicy, Windows
from sidecar.errors import InvalidInput, NotReady, UnknownModel
from sidecar.inference.service import TOKENISING_THREADS
from sidecar.server.http.answers import json_response
from sidecar.server.http.dialects.common import ModelParameter, called, explained
from sidecar.server.http.problems import Problem, Renderer
from sidecar.server.http.route import OPEN_TO_ALL, EdgeRoute
from sidecar.server.http.schemas import Texts
from sidecar.server.http.work import CurrentWork, Edge

__all__ = ["render_error", "router"]

STATUS_AND_TYPE: dict[str, tuple[int, str]] = {
    "INFERENCE_FAILED": (424, "Backend"),
    "WRONG_MODEL_KIND": (424, "Backend"),
    "UNKNOWN_MODEL": (424, "Backend"),
    "OVERLOADED": (429, "Overloaded"),
    "NOT_READY": (503, "Unhealthy"),
    "DEADLINE_EXCEEDED": (504, "Backend"),
    "UNAUTHENTICATED": (401, "Unauthorized"),
    "INTERNAL": (500, "Backend"),
}
"""Reasons that TEI has a status and a type of its own for; the rest is `Validation` under our status."""


def render_error(problem: Problem) -> Response:
    """Render as TEI's `{error, error_type}`."""
    status, error_type = STATUS_AND_TYPE.get(problem.reason, (problem.status, "Validation"))
    if issubclass(problem.cause, NothingGiven):
        status, error_type = 400, "Empty"
    return json_response({"error": explained(problem), "error_type": error_type}, status, problem.headers)


class NothingGiven(InvalidInput):
    """An empty list, for which TEI has a status of its own."""


class TeiRoute(EdgeRoute):
    """Routes whose errors are TEI's."""

    render: ClassVar[Renderer] = staticmethod(render_error)


class TeiProbeRoute(TeiRoute):
    """As above, without a token and at any time."""

    open_to_all: ClassVar[bool] = True


class TeiError(BaseModel):
    """TEI's error."""

    error: str
    error_type: Literal["Unhealthy", "Backend", "Overloaded", "Validation", "Tokenizer", "Empty", "Unauthorized"]


ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": TeiError, "description": "The request."},
    "5XX": {"model": TeiError, "description": "The sidecar."},
}

router = APIRouter(route_class=TeiRoute, tags=["text-embeddings-inference"], responses=ERRORS)
probes = APIRouter(route_class=TeiProbeRoute, tags=["text-embeddings-inference"], responses=ERRORS)

Direction = Literal["Left", "Right", "left", "right"]


class _Truncating(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    truncate: StrictBool | None = Field(default=None, description="false: longer texts are refused with 422.")
    truncation_direction: Direction = Field(default="Right", description="Left is refused.")

    def windows(self) -> Windows:
        """Raises InvalidInput where the tail of a text is asked for."""
        if self.truncate is False:
            return Windows(WindowPolicy.REFUSE)
        if self.truncation_direction.lower() == "left":
            raise InvalidInput("Texts are read from their start: use Right.", field="truncation_direction")
        return Windows(WindowPolicy.TRUNCATE)


class EmbedSparseBody(_Truncating):
    """TEI's request. Token ids, which TEI takes too, are refused: they mean nothing without a model's name."""

    inputs: StrictStr | Texts
    prompt_name: StrictStr | None = Field(default=None, description="`query`, or `document` (also if absent).")

    @field_validator("inputs", mode="before")
    @classmethod
    def _no_token_ids(cls, inputs: object) -> object:
        if isinstance(inputs, list) and inputs and isinstance(inputs[0], int | list):
            raise ValueError("token ids are not accepted, send texts")
        return inputs

    def texts(self) -> list[str]:
        """Return the texts. Raises NothingGiven for an empty list."""
        if not self.inputs and not isinstance(self.inputs, str):
            raise NothingGiven("`inputs` can't be empty.", field="inputs")
        return [self.inputs] if isinstance(self.inputs, str) else self.inputs


class SparseValue(BaseModel):
    """One dimension."""

    index: int
    value: float


@router.post("/embed_sparse", summary="Sparse embeddings", responses={200: {"model": list[list[SparseValue]]}})
async def embed_sparse(
    body: EmbedSparseBody,
    work: CurrentWork,
    model: ModelParameter = None,
    side: Annotated[Side | None, Query(description="Wins nothing over `prompt_name`: they must agree.")] = None,
) -> Response:
    """Encode one text or a list; each vector comes in ascending order of index."""
    texts, asked = body.texts(), _side_of(body.prompt_name, side)
    lane = Lane.INTERACTIVE if asked is Side.QUERY else Lane.BULK
    with called({"texts[0]" if isinstance(body.inputs, str) else "texts": "inputs"}):
        result = await work.encode(texts, side=asked, lane=lane, model=model, windows=body.windows())
    rows = [
        [{"index": term_id, "value": weight} for term_id, weight in sorted(encoding.vector)]
        for encoding in result.encodings
    ]
    tokens = sum(encoding.tokens for encoding in result.encodings)
    return json_response(rows, headers=_compute_headers(texts, result.timings, tokens))


def _side_of(prompt_name: str | None, side: Side | None) -> Side:
    named = {None: None, "query": Side.QUERY, "document": Side.DOCUMENT, "passage": Side.DOCUMENT}
    if prompt_name not in named:
        raise InvalidInput("`prompt_name` is `query` or `document`.", field="prompt_name")
    asked = named[prompt_name]
    if asked is not None and side is not None and asked is not side:
        raise InvalidInput("`prompt_name` and `side` say different things.", field="prompt_name")
    return asked or side or Side.DOCUMENT


class RerankBody(_Truncating):
    """TEI's request."""

    query: StrictStr
    texts: Texts
    raw_scores: StrictBool = Field(default=False, description="true: logits; false: their sigmoid.")
    return_text: StrictBool = False


class Rank(BaseModel):
    """One scored text."""

    index: int
    score: float
    text: str | None = Field(default=None, description="Only with `return_text`.")


@router.post("/rerank", summary="Score texts against a query", responses={200: {"model": list[Rank]}})
async def rerank(body: RerankBody, work: CurrentWork, model: ModelParameter = None) -> Response:
    """Score every text; the answer is a bare list in descending order of score."""
    if not body.texts:
        raise NothingGiven("`texts` can't be empty.", field="texts")
    with called({"documents": "texts"}):
        result = await work.rerank(body.query, body.texts, model=model, windows=body.windows())
    ranks: list[dict[str, object]] = []
    for document in result.results:
        rank: dict[str, object] = {"index": document.index, "score": _score(document, raw=body.raw_scores)}
        if body.return_text:
            rank["text"] = body.texts[document.index]
        ranks.append(rank)
    headers = _compute_headers([body.query, *body.texts], result.timings, None)
    return json_response(ranks, headers=headers)


def _score(document: RankedDocument, *, raw: bool) -> float:
    """TEI's scores are logits or their sigmoid, whatever activation the model was trained for."""
    if raw:
        return float(document.logit)
    return 0.5 * (1.0 + math.tanh(document.logit / 2.0))


@router.get("/info", summary="The served model", responses={200: {"description": "TEI's Info."}})
async def info(work: CurrentWork, model: ModelParameter = None) -> Response:
    """Describe the default sparse encoder, or the default cross-encoder where there is no encoder.

    The sidecar bounds its queue in tokens, not in requests: that bound is what stands at `max_concurrent_requests`.
    """
    settings, served = work.edge.settings, _described(work.edge, model)
    kind: dict[str, object] = (
        {"embedding": {"pooling": "splade"}}
        if served.kind is ModelKind.SPARSE_ENCODER
        else {"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}}
    )
    return json_response(
        {
            "model_id": served.name,
            "model_sha": served.fingerprint,
            "model_dtype": "float32" if served.quantization == "fp32" else served.quantization,
            "model_type": kind,
            "max_concurrent_requests": settings.max_queue_tokens,
            "max_input_length": served.max_tokens,
            "max_batch_tokens": settings.max_batch_tokens,
            "max_batch_requests": None,
            "max_client_batch_size": settings.max_texts,
            "auto_truncate": True,
            "tokenization_workers": TOKENISING_THREADS,
            "version": __version__,
            "sha": None,
            "docker_label": None,
        }
    )


def _described(edge: Edge, name: str | None) -> ModelInfo:
    """Find the model by name, or the default encoder, or the default cross-encoder."""
    models = sorted(
        edge.service.models(), key=lambda model: (model.kind is ModelKind.CROSS_ENCODER, not model.is_default)
    )
    for model in models:
        if name in (None, model.name):
            return model
    raise UnknownModel("No model of that name is served: see /v1/models.", field="model")


@probes.get(
    "/health",
    summary="Whether texts are answered now",
    response_class=Response,
    responses={200: {"description": "They are."}},
    openapi_extra=OPEN_TO_ALL,
)
async def health(work: CurrentWork) -> Response:
    """Answer 200 with an empty body, or 503 while warming up or draining."""
    if not work.edge.state.ready:
        raise NotReady("The sidecar is warming up or draining.", retry_after=1.0)
    return Response(status_code=200)


def _compute_headers(texts: Sequence[str], timings: Timings, tokens: int | None) -> dict[str, str]:
    """TEI's response headers; times in whole milliseconds. Rerankers do not report tokens."""
    milliseconds = {
        "x-compute-time": timings.total_us,
        "x-total-time": timings.total_us,
        "x-tokenization-time": timings.tokenize_us,
        "x-queue-time": timings.queue_us,
        "x-inference-time": timings.inference_us,
    }
    headers = {name: str(micros // 1_000) for name, micros in milliseconds.items()}
    headers["x-compute-type"] = "cpu"
    headers["x-compute-characters"] = str(sum(map(len, texts)))
    if tokens is not None:
        headers["x-compute-tokens"] = str(tokens)
    return headers


router.include_router(probes)
