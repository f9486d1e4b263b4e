"""The span of an HTTP request, by the semantic conventions for HTTP servers."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sidecar.server.tracing.spans import Parts, server_span

__all__ = ["TracingMiddleware"]

METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
"""Methods that may name a span; any other is a word of the caller's."""


class TracingMiddleware:
    """Opens a span around each request. Neither path nor query are recorded, since callers write them; the route is."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        known = scope["method"] in METHODS
        method = scope["method"] if known else "_OTHER"
        attributes = {
            "http.request.method": method,
            "url.scheme": str(scope.get("scheme", "http")),
            "network.protocol.version": str(scope.get("http_version", "1.1")),
        }
        status: int | None = None

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        name = method if known else "HTTP"
        with server_span(name, scope["headers"], attributes, Parts.ONE) as call:
            try:
                await self.app(scope, receive, send_noted)
            finally:
                if call.span.is_recording():
                    ended = _at_the_end(scope, status)
                    route = ended.get("http.route")
                    if route is not None:
                        call.span.update_name(f"{name} {route}")
                    wrong = status is None or status >= 400
                    failed = (str(status) if status is not None else "NO_ANSWER") if wrong else None
                    call.end(ended, failed=failed, our_fault=status is None or status >= 500)


def _at_the_end(scope: Scope, status: int | None) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {}
    route = getattr(scope.get("route"), "path_format", None)
    if isinstance(route, str):
        attributes["http.route"] = route
    request_id = scope.get("state", {}).get("request_id")
    if isinstance(request_id, str):
        attributes["sidecar.request_id"] = request_id
    if status is not None:
        attributes["http.response.status_code"] = status
    return attributes
