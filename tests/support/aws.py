"""A loopback HTTP proxy that stands before a real cluster as AWS does: it checks every request's signature.

The signature is computed here anew, by the algorithm that AWS publishes and without botocore; tests compare it with the
examples that AWS publishes, too.
"""

from __future__ import annotations

import hmac
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote, unquote

import aiohttp
import yarl
from aiohttp import web

from tests.support.faults import HOP_BY_HOP
from tests.support.loopback import listening

MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key"
    " and signing method. Consult the service documentation for details.\n\nThe Canonical String for this request"
    " should have been\n'{canonical}'"
)

LONGEST_SKEW = 300.0


@dataclass
class Account:
    """Keys that the gate knows. A token, once there is one, has to be sent along."""

    secret: str
    token: str | None = None
    expired: bool = False


@dataclass(frozen=True)
class Claim:
    """What an Authorization header says of itself."""

    access_key: str
    date: str
    region: str
    service: str
    signed: tuple[str, ...]
    signature: str

    @classmethod
    def parse(cls, header: str) -> Claim:
        kind, _, rest = header.partition(" ")
        assert kind == "AWS4-HMAC-SHA256", header
        parts = dict(part.strip().split("=", 1) for part in rest.split(","))
        access_key, date, region, service, end = parts["Credential"].split("/")
        assert end == "aws4_request"
        return cls(access_key, date, region, service, tuple(parts["SignedHeaders"].split(";")), parts["Signature"])


def canonical_request(
    method: str, target: str, headers: Mapping[str, str], signed: Sequence[str], body_hash: str
) -> str:
    """What is signed of a request; `target` is path and query as they came, names of `headers` in lower case."""
    path, _, query = target.partition("?")
    pairs = sorted(
        tuple(quote(unquote(part), safe="-_.~") for part in (pair.partition("=")[::2]))
        for pair in query.split("&")
        if pair
    )
    return "\n".join(
        (
            method,
            quote(path, safe="/-_.~"),
            "&".join(f"{name}={value}" for name, value in pairs),
            *(f"{name}:{' '.join(headers[name].split())}" for name in signed),
            "",
            ";".join(signed),
            body_hash,
        )
    )


def signature_of(canonical: str, secret: str, time: str, region: str, service: str) -> str:
    """The signature, in hexadecimal digits; `time` as in the header `x-amz-date`."""
    scope = (time[:8], region, service, "aws4_request")
    key = f"AWS4{secret}".encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    text = "\n".join(("AWS4-HMAC-SHA256", time, "/".join(scope), sha256(canonical.encode()).hexdigest()))
    return hmac.new(key, text.encode(), "sha256").hexdigest()


@dataclass
class Gate:
    """The proxy. `seen` holds method, target as it came, and the status of each answer; `headers` those that came.

    `serverless`: a collection of OpenSearch Serverless, which has no `GET /` and refuses without a reason.
    """

    upstream: str
    accounts: dict[str, Account]
    region: str = "eu-central-1"
    service: str = "es"
    serverless: bool = False
    seen: list[tuple[str, str, int]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    @property
    def statuses(self) -> Counter[int]:
        """How often each status was answered."""
        return Counter(status for *_, status in self.seen)

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        assert len(headers) == len(request.headers), "a header came twice"
        self.headers.append(headers)
        refused = self.refusal(request.method, request.raw_path, headers, body)
        if refused is None and self.serverless and request.raw_path == "/":
            answer = web.Response(status=404)
        elif refused is None:
            answer = await self.forward(request, body)
        else:
            answer = refused
        self.seen.append((request.method, request.raw_path, answer.status))
        return answer

    def refusal(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> web.Response | None:
        """What AWS answers in the cluster's place; None: the request may pass."""
        why = self.complaint(method, target, headers, body)
        if why is None:
            return None
        if self.serverless:
            error = {"reason": "403 Forbidden", "type": "Forbidden"}
            return web.json_response({"status": 403, "error": error}, status=403)
        return web.json_response({"message": why}, status=403)

    def complaint(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> str | None:
        if not headers.get("authorization", "").startswith("AWS4"):
            return "User: anonymous is not authorized to perform: es:ESHttpGet because no resource-based policy allows"
        claim = Claim.parse(headers["authorization"])
        account = self.accounts.get(claim.access_key)
        if account is None or headers.get("x-amz-security-token") != account.token:
            return "The security token included in the request is invalid."
        if account.expired:
            return "The security token included in the request is expired"
        if claim.region != self.region:
            return f"Credential should be scoped to a valid region, not '{claim.region}'. "
        if claim.service != self.service:
            return f"Credential should be scoped to correct service: '{self.service}'. "
        time = headers["x-amz-date"]
        age = (datetime.now(UTC) - datetime.strptime(time, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)).total_seconds()
        if abs(age) > LONGEST_SKEW:
            return f"Signature expired: {time} is now earlier than the one that is allowed"
        must = {"host", *(name for name in headers if name.startswith("x-amz-"))}
        hashed = sha256(body).hexdigest()
        if not must <= set(claim.signed) or headers.get("x-amz-content-sha256") != hashed:
            return MISMATCH.format(canonical="with other headers")
        canonical = canonical_request(method, target, headers, claim.signed, hashed)
        if signature_of(canonical, account.secret, time, claim.region, claim.service) != claim.signature:
            return MISMATCH.format(canonical=canonical)
        return None

    async def forward(self, request: web.Request, body: bytes) -> web.Response:
        left_out = {*HOP_BY_HOP, "authorization"}
        headers = {name: value for name, value in request.headers.items() if name.lower() not in left_out}
        target = yarl.URL(self.upstream + request.raw_path, encoded=True)
        async with (
            aiohttp.ClientSession() as session,
            session.request(request.method, target, data=body, headers=headers) as answer,
        ):
            return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)


@asynccontextmanager
async def gate(
    upstream: str,
    accounts: Mapping[str, Account],
    *,
    region: str = "eu-central-1",
    service: str = "es",
    serverless: bool = False,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Gate]:
    """Run a gate in the running event loop, on a free port of the loopback interface; with `tls`, it speaks https."""
    found = Gate(upstream, dict(accounts), region, service, serverless)
    async with listening(found.handle, tls=tls) as found.url:
        yield found
