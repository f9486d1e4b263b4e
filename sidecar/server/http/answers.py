"""JSON answers, and the header names every route shares."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass

from starlette.responses import Response

from sidecar.domain import Timings
from sidecar.engine.exact_json import to_json
from sidecar.errors import InvalidInput

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
    try:
        body = to_json(content)
    except InvalidInput:
        # A stored document with a lone surrogate, for which JSON has an escape, and orjson has none.
        body = json.dumps(content, default=_fields).encode("ascii")
    return JsonResponse(body, status, dict(headers or {}), media_type)


def _fields(value: object) -> dict[str, object]:
    if not is_dataclass(value) or isinstance(value, type):
        raise TypeError(f"{type(value).__name__} can't be written as JSON.")
    return {field.name: getattr(value, field.name) for field in fields(value)}


def timings_json(timings: Timings) -> dict[str, int]:
    """Return the timings as the JSON twin of the gRPC message, in microseconds."""
    return {
        "tokenize_us": timings.tokenize_us,
        "queue_us": timings.queue_us,
        "inference_us": timings.inference_us,
        "total_us": timings.total_us,
    }
