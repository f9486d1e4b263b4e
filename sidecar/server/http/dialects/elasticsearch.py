"""Elasticsearch's `custom` inference service: answers at the paths that its `json_parser` is told to read."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr
from starlette.responses import Response

from sidecar.domain import WHOLE_TEXT, Lane, Side, SparseVector, Windows
from sidecar.server.http.answers import json_response
from sidecar.server.http.dialects.common import ModelParameter, as_features, called, explained
from sidecar.server.http.every_hit import rerank_every
from sidecar.server.http.problems import Problem, Renderer
from sidecar.server.http.route import EdgeRoute
from sidecar.server.http.schemas import Texts
from sidecar.server.http.work import CurrentWork

__all__ = ["render_error", "router"]


def render_error(problem: Problem) -> Response:
    """Render with the message at `$.error.message`."""
    content = {"error": {"message": explained(problem), "type": problem.reason.lower(), "code": problem.status}}
    return json_response(content, problem.status, problem.headers)


class ElasticsearchRoute(EdgeRoute):
    """Routes whose errors Elasticsearch can read."""

    render: ClassVar[Renderer] = staticmethod(render_error)


class ErrorMessage(BaseModel):
    """What went wrong."""

    message: str
    type: str
    code: int


class ElasticsearchError(BaseModel):
    """As the routes answer."""

    error: ErrorMessage


ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ElasticsearchError, "description": "The request."},
    "5XX": {"model": ElasticsearchError, "description": "The sidecar."},
}

router = APIRouter(route_class=ElasticsearchRoute, tags=["elasticsearch"], responses=ERRORS)

InputType = Literal[
    "query", "search", "internal_search", "document", "ingest", "internal_ingest", "classification", "clustering", ""
]
"""Ours, and Elasticsearch's own words for what a text is for, which `input_type.translation` may leave as they are."""

QUERY_TYPES = frozenset({"query", "search", "internal_search"})


class SparseBody(BaseModel):
    """`{"input": ${input}, "input_type": ${input_type}}`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    input: StrictStr | Texts
    input_type: InputType = "document"
    token_format: Literal["token_id", "word"] = Field(default="token_id", description="What stands at `token_id`.")

    @property
    def side(self) -> Side:
        """Which side the input type means."""
        return Side.QUERY if self.input_type in QUERY_TYPES else Side.DOCUMENT


class TokenWeight(BaseModel):
    """One term."""

    token_id: int | str
    weight: float


class SparseEmbedding(BaseModel):
    """One text's terms."""

    index: int
    embedding: list[TokenWeight]


class SparseResult(BaseModel):
    """All texts' terms."""

    sparse_embeddings: list[SparseEmbedding]


class SparseAnswer(BaseModel):
    """`token_path: $.result.sparse_embeddings[*].embedding[*].token_id`."""

    result: SparseResult


@router.post("/elasticsearch/sparse_embedding", summary="Sparse embeddings", responses={200: {"model": SparseAnswer}})
async def sparse_embedding(body: SparseBody, work: CurrentWork, model: ModelParameter = None) -> Response:
    """Encode one text or a list, as documents or as queries."""
    texts = [body.input] if isinstance(body.input, str) else body.input
    for_query, words = body.side is Side.QUERY, body.token_format == "word"
    lane = Lane.INTERACTIVE if for_query else Lane.BULK
    windows = Windows() if for_query else WHOLE_TEXT
    with called({"texts[0]" if isinstance(body.input, str) else "texts": "input"}):
        result = await work.encode(texts, side=body.side, lane=lane, model=model, windows=windows, return_terms=words)
    embeddings = [
        {"index": index, "embedding": _token_weights(encoding.vector, words, for_query)}
        for index, encoding in enumerate(result.encodings)
    ]
    return json_response({"result": {"sparse_embeddings": embeddings}})


def _token_weights(vector: SparseVector, words: bool, for_query: bool) -> list[dict[str, object]]:
    tokens: tuple[int | str, ...] = vector.terms if words else vector.term_ids
    return [
        {"token_id": tokens[position], "weight": weight}
        for position, weight in as_features(vector, for_query=for_query)
    ]


class RerankBody(BaseModel):
    """`{"query": "${query}", "input": ${input}, "return_documents": true}`: the query alone is put in as it is."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    query: StrictStr
    input: StrictStr | Texts
    return_documents: StrictBool | None = None


class Score(BaseModel):
    """One scored document."""

    index: int
    score: float
    document_text: str | None = Field(default=None, description="Only with `return_documents`.")


class Scores(BaseModel):
    """All scored documents."""

    scores: list[Score]


class RerankAnswer(BaseModel):
    """`relevance_score: $.result.scores[*].score`, `reranked_index: $.result.scores[*].index`."""

    result: Scores


@router.post("/elasticsearch/rerank", summary="Score documents", responses={200: {"model": RerankAnswer}})
async def rerank(body: RerankBody, work: CurrentWork, model: ModelParameter = None) -> Response:
    """Score every document, whatever `top_n` says: Elasticsearch loses hits of its window otherwise.

    Documents without text come last.
    """
    documents = [body.input] if isinstance(body.input, str) else body.input
    with called({"documents[0]" if isinstance(body.input, str) else "documents": "input"}):
        result = await rerank_every(work, body.query, documents, model=model)
    scores: list[dict[str, object]] = []
    for document in result.results:
        score: dict[str, object] = {"index": document.index, "score": float(document.score)}
        if body.return_documents:
            score["document_text"] = documents[document.index]
        scores.append(score)
    return json_response({"result": {"scores": scores}})
