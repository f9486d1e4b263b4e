"""The command that warns of what a cluster and an index are exposed to.

Exit codes: 0 nothing, or only notes · 1 errors (or no answer) · 2 wrong usage · 3 warnings.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.markup import escape

from sidecar.cli.connections import (
    DEFAULT_AWS_SERVICE,
    DEFAULT_ENGINE,
    ApiKeyOption,
    AwsRegionOption,
    AwsServiceOption,
    CaOption,
    ClusterAddress,
    EngineOption,
    InsecureOption,
    PasswordOption,
    SidecarAddress,
    SidecarCaOption,
    SidecarCertOption,
    SidecarKeyOption,
    SidecarNameOption,
    SidecarTlsOption,
    TokenOption,
    UserOption,
)
from sidecar.cli.output import print_json
from sidecar.errors import InvalidInput, SidecarUnavailable

if TYPE_CHECKING:
    from sidecar.cluster.doctor import Finding
    from sidecar.domain import JsonObject

__all__ = ["register"]

COLOURS = {"error": "bold red", "warning": "yellow", "note": "dim"}
HOST_AND_PORT = re.compile(r"(?:dns:/{0,3})?(\[[^\]]+\]|[^:/,\[\]]+):(\d{1,5})")
"""Addresses of gRPC that are one host's; it has others, for sockets of files and lists of addresses."""

EXIT_CODES = {"error": 1, "warning": 3, "note": 0}


def register(app: typer.Typer) -> None:
    """Add this module's command to `app`."""
    app.command("doctor")(doctor)


def doctor(
    index: Annotated[str, typer.Option("--index", help="Index to look at.")],
    engine: EngineOption = DEFAULT_ENGINE,
    sidecar: Annotated[
        str | None,
        typer.Option("--sidecar", envvar="SIDECAR_TARGET", help="host:port of a sidecar, to compare its model."),
    ] = None,
    http: Annotated[
        str | None, typer.Option("--http", help="HTTP address of a sidecar: its connector routes are called.")
    ] = None,
    connector: Annotated[
        bool, typer.Option("--connector", help="Let the cluster call the sidecar, through the models of setup.")
    ] = False,
    query: Annotated[
        Path | None, typer.Option("--query", help="A search body of your application, as JSON: it is looked at too.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    user: UserOption = None,
    password: PasswordOption = None,
    api_key: ApiKeyOption = None,
    aws_region: AwsRegionOption = None,
    aws_service: AwsServiceOption = DEFAULT_AWS_SERVICE,
    ca: CaOption = None,
    insecure: InsecureOption = False,
    token: TokenOption = None,
    sidecar_ca: SidecarCaOption = None,
    sidecar_tls: SidecarTlsOption = False,
    sidecar_name: SidecarNameOption = None,
    sidecar_cert: SidecarCertOption = None,
    sidecar_key: SidecarKeyOption = None,
) -> None:
    """Warn of every known trap that an index is exposed to; changes nothing. Exit code 1: errors, 3: warnings."""
    from sidecar.cluster.doctor import (
        Severity,
        check_certificates,
        check_routes,
        check_through_cluster,
        examine,
        gather,
        worst,
    )

    body = None if query is None else _body(query)
    cluster = ClusterAddress(engine, user, password, ca, insecure, api_key, aws_region, aws_service)
    address = SidecarAddress(sidecar or "", token, sidecar_ca, sidecar_tls, sidecar_name, sidecar_cert, sidecar_key)

    async def run() -> tuple[Finding, ...]:
        shown: tuple[Finding, ...] = ()
        for host, port in (*_https_port(http), *_secured_port(address)):
            shown += await check_certificates(host, port, address.https() or ssl.create_default_context())
        served = None
        if sidecar is not None:
            try:
                async with address.client() as client:
                    served = await client.models()
            except SidecarUnavailable:
                # What has expired is why, and is told among the findings.
                if worst(shown) is not Severity.ERROR:
                    raise
        async with await cluster.connect() as connected:
            evidence = await gather(connected, index, served=served, query=body)
            called = await check_through_cluster(connected, evidence.index) if connector else ()
        routes = (
            await check_routes(http, token, tls=address.https(), server_name=sidecar_name) if http is not None else ()
        )
        return (*shown, *routes, *called, *examine(evidence))

    findings = asyncio.run(run())
    if as_json:
        listed = [
            {
                "check": one.check,
                "severity": one.severity.value,
                "what": one.what,
                "why": one.why,
                "action": one.action,
            }
            for one in findings
        ]
        print_json({"index": index, "findings": listed})
    else:
        _print(findings)
    severity = worst(findings)
    if severity is not None and EXIT_CODES[severity]:
        raise typer.Exit(EXIT_CODES[severity])


def _https_port(http: str | None) -> Iterator[tuple[str, int]]:
    from sidecar.engine.access import is_http_address

    if http is None:
        return
    if not is_http_address(http):
        raise InvalidInput("--http is the address of the sidecar's HTTP port, such as http://host:8080.", field="http")
    url = urlsplit(http)
    if url.scheme == "https" and url.hostname is not None:
        yield url.hostname, url.port or 443


def _secured_port(sidecar: SidecarAddress) -> Iterator[tuple[str, int]]:
    """Yield where the gRPC port is, if it speaks TLS; of several behind one name, whichever the name leads to."""
    if not (sidecar.tls or sidecar.ca is not None or sidecar.cert is not None):
        return
    target = HOST_AND_PORT.fullmatch(sidecar.target.strip())
    if target is not None:
        yield target[1].strip("[]"), int(target[2])


def _body(path: Path) -> JsonObject:
    import orjson

    try:
        body = orjson.loads(path.read_bytes())
    except OSError as error:
        raise InvalidInput(f"{path} can't be read ({error.strerror}).", field="query") from error
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"{path} is no JSON.", field="query") from error
    if not isinstance(body, dict):
        raise InvalidInput(f"{path} holds no search body: it must be a JSON object.", field="query")
    return body


def _print(findings: Sequence[Finding]) -> None:
    console = Console()
    for one in findings:
        colour = COLOURS[one.severity]
        console.print(f"[{colour}]{one.severity}[/] {one.check}: {escape(one.what)}", highlight=False, soft_wrap=True)
        console.print(f"  why: {escape(one.why)}", highlight=False, soft_wrap=True)
        console.print(f"  do:  {escape(one.action)}", highlight=False, soft_wrap=True)
    if not findings:
        console.print("Nothing to say.", highlight=False)
