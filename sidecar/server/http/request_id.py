"""A request's id: taken over from the caller where it is harmless, made up otherwise, on every answer."""

from __future__ import annotations

import re
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sidecar.server.http.answers import REQUEST_ID

__all__ = ["RequestIdMiddleware"]

_HARMLESS = re.compile(r"^[A-Za-z0-9._:/+=-]{1,128}$")
"""Nothing that could break a log line or a header."""


class RequestIdMiddleware:
    """Sets `request.state.request_id` and the header of the same meaning on the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = given if _HARMLESS.match(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        await self.app(scope, receive, send_with_id)
