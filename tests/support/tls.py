"""TLS of a real sidecar: who is who, and what a new connection is shown."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import trustme
from cryptography import x509

from tests.support.certificates import Identity, Secret, authority_pem
from tests.support.sidecars import InProcess

TEXTS = ["some text"]


def over_tls(secret: Secret, **more: object) -> dict[str, object]:
    return {"tls_certificate": secret.certificate, "tls_key": secret.key, **more}


def trusting(authority: trustme.CA, identity: Identity | None = None, folder: Path | None = None) -> ssl.SSLContext:
    """What an HTTP client trusts, and what it shows."""
    context = ssl.create_default_context(cadata=authority_pem(authority).decode())
    if identity is not None and folder is not None:
        context.load_cert_chain(*identity.write(folder, "client"))
    return context


def http_status(server: InProcess, context: ssl.SSLContext) -> int:
    url = f"https://127.0.0.1:{server.http_port}/v1/encode"
    return httpx.post(url, json={"texts": TEXTS}, verify=context, timeout=60.0, trust_env=False).status_code


def shown_serial(port: int) -> int:
    """The serial number of the certificate that a new connection is shown."""
    pem = ssl.get_server_certificate(("127.0.0.1", port), timeout=30.0)
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


async def eventually(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.05)


def metric(server: InProcess, certificate: str) -> float:
    name = f'sidecar_tls_certificate_expiration_timestamp_seconds{{certificate="{certificate}"}}'
    text = httpx.get(f"{server.admin_url}/metrics", timeout=30.0).text
    return float(next(line for line in text.splitlines() if line.startswith(name)).split()[-1])
