"""A cluster with neural-search and ml-commons, as far as planning asks one: answers in the shapes that live nodes gave.

The plugins can't be had as jars. Nothing here decides anything: each path has one answer, and what is asked is kept.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from sidecar.engine import Engine
from tests.support.loopback import listening

ROOT = {"cluster_name": "c", "version": {"distribution": "opensearch", "number": "3.4.0"}, "tagline": "OpenSearch"}
PLUGINS = {
    "nodes": {
        "a": {
            "plugins": [
                {"name": "opensearch-neural-search", "version": "3.4.0.0"},
                {"name": "opensearch-ml", "version": "3.4.0.0"},
            ]
        }
    }
}
SETTINGS = {
    "persistent": {},
    "transient": {},
    "defaults": {
        "plugins.ml_commons.trusted_connector_endpoints_regex": ["^https://api\\.openai\\.com/.*$"],
        "plugins.ml_commons.connector.private_ip_enabled": "false",
    },
}
NO_HITS = {"hits": {"hits": []}}
BASE = {
    "GET /": ROOT,
    "GET /_nodes/plugins": PLUGINS,
    "GET /_cluster/settings": SETTINGS,
    "POST /_plugins/_ml/models/_search": NO_HITS,
    "POST /_plugins/_ml/connectors/_search": NO_HITS,
}


@dataclass
class Recorded:
    """The answers by `METHOD /path`, what is not among them is 404; `asked` lists method, path with query, and body.

    A number is the status of an error.
    """

    answers: dict[str, object]
    asked: list[tuple[str, str, object]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json() if request.body_exists else None
        self.asked.append((request.method, request.path_qs, body))
        answer = self.answers.get(f"{request.method} {request.path}")
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if answer is None:
            kind = "index_not_found_exception" if "_mapping" in request.path else "resource_not_found_exception"
            error = {"type": kind, "reason": "no such thing"}
            return web.json_response({"error": {**error, "root_cause": [error]}, "status": 404}, status=404)
        if isinstance(answer, int):
            return web.json_response({"error": {"type": "error", "reason": "as told"}, "status": answer}, status=answer)
        return web.json_response(answer)


@asynccontextmanager
async def recorded(
    answers: Mapping[str, object] = {}, kind: type[Recorded] = Recorded
) -> AsyncIterator[tuple[Engine, Recorded]]:
    """Answer from a loopback port, and connect an engine to it."""
    cluster = kind({**BASE, **answers})
    async with listening(cluster.handle) as url, await Engine.connect(url) as engine:
        yield engine, cluster
