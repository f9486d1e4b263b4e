"""JSON answers, and the header names every route shares."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from starlette.responses import Response

from sidecar.domain import Timings

__all__ = ["REQUEST_ID", "REQUEST_TIMEOUT", "JsonResponse", "json_response", "timings_json"]

REQUEST_ID = "x-request-id"
"""Taken over from the request if it is harmless there, made up otherwise; on every answer."""

REQUEST_TIMEOUT = "x-request-timeout"
"""Seconds the caller will wait, counted from the request's arrival; beyond that its work is dropped."""


class JsonResponse(Response):
    """Bytes that already are JSON."""

    media_type = "application/json"


def json_response(
    content: object,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    media_type: str = "application/json",
) -> JsonResponse:
    """Serialise `content` (dicts, sequences, dataclasses, numbers, strings). Floats keep their fraction: `1.0`."""
    return JsonResponse(orjson.dumps(content), status, dict(headers or {}), media_type)


def timings_json(timings: Timings) -> dict[str, int]:
    """Return the timings as the JSON twin of the gRPC message, in microseconds."""
    return {
        "tokenize_us": timings.tokenize_us,
        "queue_us": timings.queue_us,
        "inference_us": timings.inference_us,
        "total_us": timings.total_us,
    }
