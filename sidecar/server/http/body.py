"""Request bodies: read within the limit, decoded strictly. JSON alone, and only what Unicode and RFC 8259 allow."""

from __future__ import annotations

from collections.abc import Iterable

import orjson
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request

from sidecar.domain import JsonValue
from sidecar.errors import Cancelled, InvalidInput, MalformedText, TextTooLarge

__all__ = ["JsonRequest", "check_depth", "parse_json", "read_body"]


class JsonRequest(Request):
    """A request whose body was read and decoded already, so that nobody downstream does it less strictly."""

    def __init__(self, request: Request, body: bytes, content: object) -> None:
        super().__init__(request.scope, request.receive)
        self._body = body
        self._content = content

    async def json(self) -> object:
        """Return the decoded body."""
        return self._content


async def read_body(request: Request, limit: int) -> bytes:
    """Return the whole body; refuse it as soon as it is known to be longer than `limit` bytes.

    Raises TextTooLarge, or Cancelled if the caller leaves while sending.
    """
    too_large = TextTooLarge(f"The body is larger than {limit} bytes: send less in one request.")
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced) > limit:
        raise too_large
    chunks = bytearray()
    try:
        async for chunk in request.stream():
            chunks += chunk
            if len(chunks) > limit:
                raise too_large
    except ClientDisconnect:
        raise Cancelled("The caller left while sending the body.") from None
    return bytes(chunks)


def parse_json(body: bytes, headers: Headers) -> JsonValue:
    """Decode a JSON body; an empty one is None.

    Raises MalformedText for bytes that are not UTF-8 and for escapes of lone surrogates, InvalidInput for anything
    else that is not JSON (NaN and Infinity are not), is compressed, or is not declared as JSON.
    """
    if not body:
        return None
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise InvalidInput("Send the body as it is: compressed ones are not read.", field="content-encoding")
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise InvalidInput("Send the body with Content-Type: application/json.", field="content-type")
    try:
        content: JsonValue = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _decoding_error(body, error) from None
    return content


def check_depth(content: object, limit: int) -> None:
    """Raise InvalidInput for JSON whose objects and lists lie more than `limit` deep within each other."""
    layer, depth = [content], 0
    while layer := [inner for outer in layer for inner in _inside(outer)]:
        depth += 1
        if depth > limit:
            raise InvalidInput(f"Objects and lists of the body may lie {limit} deep within each other, no deeper.")


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _decoding_error(body: bytes, error: orjson.JSONDecodeError) -> InvalidInput:
    try:
        body.decode()
    except UnicodeDecodeError as undecodable:
        return MalformedText(f"The body is not valid UTF-8 at byte {undecodable.start}.")
    if "surrogate" in error.msg:
        return MalformedText(f"A \\u escape at character {error.pos} is half of a surrogate pair: no valid Unicode.")
    return InvalidInput(f"The body is not valid JSON at character {error.pos} (NaN and Infinity are not JSON either).")
