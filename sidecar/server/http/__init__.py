"""The HTTP edge: the native routes, and the dialects of the tools people already have. Routes only translate."""

from sidecar.server.http.app import create_http_app

__all__ = ["create_http_app"]
