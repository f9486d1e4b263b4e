"""An HTTP server on the loopback interface, in the running event loop."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

__all__ = ["listening"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def listening(handle: Handler, *, tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[str]:
    """Answer every request by `handle`, and give the URL, of https with `tls`. Port 0: one of the system's choice."""
    application = web.Application(client_max_size=256 << 20)
    application.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
