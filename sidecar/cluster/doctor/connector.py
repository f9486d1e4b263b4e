"""Check of the sidecar's routes for connectors, by real calls of the kind that ml-commons makes."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping

import aiohttp
import orjson

from sidecar.cluster.connectors import SIDES, find_named, resource_name
from sidecar.cluster.doctor.evidence import nested
from sidecar.cluster.doctor.findings import Finding, Severity
from sidecar.domain import JsonObject, JsonValue
from sidecar.engine import Engine
from sidecar.engine.features import LARGEST_QUERY_WEIGHT
from sidecar.errors import EngineError

__all__ = ["check_answer", "check_routes", "check_through_cluster"]

TEXT = "hello sparse world"
MAX_TOKENS = 1_024
TIMEOUT_SECONDS = 10.0
CHECK = "connector"


async def check_routes(
    endpoint: str, token: str | None = None, *, tls: ssl.SSLContext | None = None, server_name: str | None = None
) -> tuple[Finding, ...]:
    """Send what a connector sends to the sidecar's HTTP port, for both sides, and look at the answers.

    `tls` is how an https address is trusted (None: as the system does it), `server_name` the name in its certificate
    where the address has another.
    """
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
    found: list[Finding] = []
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, headers=headers) as session:
        for side in SIDES:
            url = f"{endpoint.rstrip('/')}/ml-commons/sparse/{side}"
            try:
                async with session.post(
                    url, data=orjson.dumps({"texts": [TEXT]}), ssl=tls or True, server_hostname=server_name
                ) as answer:
                    status, data = answer.status, await answer.read()
            except (aiohttp.ClientError, TimeoutError) as error:
                found.append(_failed(side, f"{url} does not answer ({type(error).__name__})"))
                continue
            try:
                body: JsonValue = orjson.loads(data)
            except orjson.JSONDecodeError:
                body = None
            if status != 200:
                found.append(_failed(side, f"{url} answers {status}"))
            else:
                found.extend(check_answer(side, body))
    return tuple(found)


async def check_through_cluster(engine: Engine, index: str) -> tuple[Finding, ...]:
    """Let the cluster call the sidecar through the models that setup made for `index`."""
    found: list[Finding] = []
    for side in SIDES:
        name = resource_name(index, side)
        models = await find_named(engine, "models", name)
        if not models:
            found.append(_failed(side, f"there is no model called {name}"))
            continue
        body: JsonObject = {"parameters": {"input": [TEXT]}}
        try:
            answer = await engine.send("POST", f"/_plugins/_ml/models/{models[0]}/_predict", body, timeout=40.0)
        except EngineError as error:
            found.append(_failed(side, f"the cluster's call failed: {error.message}"))
            continue
        found.extend(check_answer(side, predicted(answer)))
    return tuple(found)


def predicted(answer: JsonObject) -> JsonValue:
    """Return what the model answered, from ml-commons' answer around it."""
    value: JsonValue = answer
    for key in ("inference_results", "output"):
        inner = nested(value, key)
        value = inner[0] if isinstance(inner, list) and inner else None
    return nested(value, "dataAsMap", "response")


def check_answer(side: str, body: JsonValue) -> Iterator[Finding]:
    """Look at one answer: a list with one map of positive weights for the one text."""
    if not isinstance(body, list) or len(body) != 1 or not isinstance(body[0], Mapping):
        yield _failed(side, "the answer is no list with one map of weights")
        return
    weights = list(body[0].values())
    numbers = [weight for weight in weights if isinstance(weight, int | float) and not isinstance(weight, bool)]
    if not numbers or len(numbers) != len(weights) or min(numbers) <= 0.0:
        yield _failed(side, "the answer has no weights, or some that are no positive numbers")
    elif side == "query" and (max(numbers) > LARGEST_QUERY_WEIGHT or len(numbers) > MAX_TOKENS):
        yield _failed(side, f"a query has weights above {LARGEST_QUERY_WEIGHT:g}, or more than {MAX_TOKENS} terms")


def _failed(side: str, what: str) -> Finding:
    return Finding(
        CHECK,
        Severity.ERROR,
        f"The connector for {SIDES[side]}: {what}.",
        "Documents that go through the ingest pipeline are refused, or written without a vector; queries fail.",
        "See docs/http.md for the shapes; the cluster needs the settings that `sidecar setup --connector` makes, and"
        " the model deployed again after them.",
    )
