"""Options by which commands find the cluster and the sidecar, and the connections made of them."""

from __future__ import annotations

import inspect
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from sidecar.errors import InvalidInput

if TYPE_CHECKING:
    from sidecar.client import AsyncSidecarClient
    from sidecar.engine import Engine

__all__ = [
    "DEFAULT_AWS_SERVICE",
    "DEFAULT_ENGINE",
    "LOCAL",
    "ApiKeyOption",
    "AwsRegionOption",
    "AwsServiceOption",
    "CaOption",
    "ClusterAddress",
    "EngineOption",
    "InsecureOption",
    "PasswordOption",
    "SidecarAddress",
    "SidecarCaOption",
    "SidecarCertOption",
    "SidecarKeyOption",
    "SidecarNameOption",
    "SidecarTlsOption",
    "TokenOption",
    "UserOption",
    "with_addresses",
]

DEFAULT_ENGINE = "http://127.0.0.1:9200"
DEFAULT_SIDECAR = "127.0.0.1:50051"
DEFAULT_AWS_SERVICE = "es"

LOCAL = "local"
"""Stands for a cluster, or a sidecar, that a command starts for as long as it lasts."""

EngineOption: TypeAlias = Annotated[
    str, typer.Option("--engine", envvar="SIDECAR_ENGINE", help="URL of the cluster; several nodes joined by commas.")
]
UserOption: TypeAlias = Annotated[
    str | None, typer.Option("--user", envvar="SIDECAR_ENGINE_USER", help="User at the cluster.")
]
PasswordOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--password", envvar="SIDECAR_ENGINE_PASSWORD", help="Password there; better by the environment."),
]
ApiKeyOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        envvar="SIDECAR_ENGINE_API_KEY",
        help="API key of Elasticsearch, in place of user and password; better by the environment.",
    ),
]
AwsRegionOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--aws-region",
        envvar="SIDECAR_ENGINE_AWS_REGION",
        help="Sign requests for this region of AWS, with the credentials that its tools find.",
    ),
]
AwsServiceOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--aws-service",
        envvar="SIDECAR_ENGINE_AWS_SERVICE",
        help="Sign for es (a domain of OpenSearch Service) or aoss (OpenSearch Serverless).",
    ),
]
CaOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--ca", envvar="SIDECAR_ENGINE_CA", help="Certificate authorities of the cluster, a PEM file."),
]
InsecureOption: TypeAlias = Annotated[
    bool, typer.Option("--insecure", help="Do not check the cluster's certificate: whoever answers is believed.")
]
SidecarOption: TypeAlias = Annotated[
    str, typer.Option("--sidecar", envvar="SIDECAR_TARGET", help="host:port of the sidecar's gRPC port.")
]
TokenOption: TypeAlias = Annotated[
    str | None, typer.Option("--token", envvar="SIDECAR_AUTH_TOKEN", help="The sidecar's bearer token.")
]
SidecarCaOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--sidecar-ca", envvar="SIDECAR_CA", help="Authority of the sidecar (PEM); switches TLS on."),
]
SidecarTlsOption: TypeAlias = Annotated[
    bool, typer.Option("--sidecar-tls", envvar="SIDECAR_TLS", help="TLS, with the authorities that gRPC trusts.")
]
SidecarNameOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--sidecar-name", envvar="SIDECAR_SERVER_NAME", help="Name in its certificate, where the address has another."
    ),
]
SidecarCertOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--sidecar-cert", envvar="SIDECAR_CLIENT_CERT", help="Certificate to show the sidecar (PEM), for mutual TLS."
    ),
]
SidecarKeyOption: TypeAlias = Annotated[
    Path | None, typer.Option("--sidecar-key", envvar="SIDECAR_CLIENT_KEY", help="The key of that certificate (PEM).")
]


@dataclass(frozen=True, slots=True)
class ClusterAddress:
    """Where the cluster is, and who we are there."""

    url: str
    user: str | None = None
    password: str | None = None
    ca: Path | None = None
    insecure: bool = False
    api_key: str | None = None
    aws_region: str | None = None
    aws_service: str = DEFAULT_AWS_SERVICE

    async def connect(self) -> Engine:
        """Return a connected engine; raise EngineError."""
        from sidecar.engine import Engine

        return await Engine.connect(
            self.url,
            user=self.user,
            password=self.password,
            api_key=self.api_key,
            ca_certificates=self.ca,
            verify_certificates=not self.insecure,
            aws_region=self.aws_region,
            aws_service=self.aws_service,
        )


@dataclass(frozen=True, slots=True)
class SidecarAddress:
    """Where the sidecar is, how it is known, and who we are there."""

    target: str
    token: str | None = None
    ca: Path | None = None
    tls: bool = False
    name: str | None = None
    cert: Path | None = None
    key: Path | None = None

    def client(self) -> AsyncSidecarClient:
        """Return a client; it connects with its first call."""
        from sidecar.client import AsyncSidecarClient

        return AsyncSidecarClient(
            self.target,
            token=self.token,
            root_certificates=_content(self.ca, "sidecar_ca"),
            tls=self.tls,
            server_name=self.name,
            certificate_chain=_content(self.cert, "sidecar_cert"),
            private_key=_content(self.key, "sidecar_key"),
        )

    def https(self) -> ssl.SSLContext | None:
        """Return how a call of its HTTP port is to be secured; None: as the system does it."""
        if self.ca is None and self.cert is None:
            return None
        authorities = _content(self.ca, "sidecar_ca")
        try:
            context = ssl.create_default_context(cadata=None if authorities is None else authorities.decode("ascii"))
            if self.cert is not None:
                # With a password given, OpenSSL never asks for one at the terminal.
                context.load_cert_chain(self.cert, self.key, password="")
        except (OSError, UnicodeDecodeError, ValueError) as error:
            raise InvalidInput(
                f"The sidecar's authority, or the certificate to show it, can't be used ({error}): each must be PEM,"
                " the key that of the certificate and not encrypted.",
                field="sidecar_ca" if self.cert is None else "sidecar_cert",
            ) from error
        return context


def _content(path: Path | None, option: str) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} can't be read ({error.strerror}).", field=option) from error


def with_addresses(command: Callable[..., None]) -> Callable[..., None]:
    """Return `command` as Typer is to see it: options instead of its parameters `cluster` and `encoder`.

    `cluster` is a ClusterAddress, `encoder` a SidecarAddress; `cluster_or_local` and `encoder_or_local` are the same,
    and LOCAL by default. Where the address itself (--engine, --sidecar) stands in the help is where the parameter
    stands; who we are there, and how that is proven, comes last.
    """
    shown: list[inspect.Parameter] = []
    last: list[inspect.Parameter] = []
    options: dict[str, tuple[str, ...]] = {}
    signature = inspect.signature(command, eval_str=True)
    for name, parameter in signature.parameters.items():
        if name in _ADDRESSES:
            address, *credentials = _options_of(name)
            options[name] = tuple(option.name for option in (address, *credentials))
            shown.append(address)
            last.extend(credentials)
        else:
            shown.append(parameter)

    @wraps(command)
    def run(**given: object) -> None:
        for name, needed in options.items():
            given[name] = _ADDRESSES[name](**{option: given.pop(option) for option in needed})
        command(**given)

    named = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in (*shown, *last)]
    # typer reads a function's signature and its annotations.
    run.__signature__ = signature.replace(parameters=named)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in named}
    return run


def _cluster(
    engine: EngineOption = DEFAULT_ENGINE,
    user: UserOption = None,
    password: PasswordOption = None,
    api_key: ApiKeyOption = None,
    aws_region: AwsRegionOption = None,
    aws_service: AwsServiceOption = DEFAULT_AWS_SERVICE,
    ca: CaOption = None,
    insecure: InsecureOption = False,
) -> ClusterAddress:
    return ClusterAddress(engine, user, password, ca, insecure, api_key, aws_region, aws_service)


def _encoder(
    sidecar: SidecarOption = DEFAULT_SIDECAR,
    token: TokenOption = None,
    sidecar_ca: SidecarCaOption = None,
    sidecar_tls: SidecarTlsOption = False,
    sidecar_name: SidecarNameOption = None,
    sidecar_cert: SidecarCertOption = None,
    sidecar_key: SidecarKeyOption = None,
) -> SidecarAddress:
    return SidecarAddress(sidecar, token, sidecar_ca, sidecar_tls, sidecar_name, sidecar_cert, sidecar_key)


_LOCAL: Mapping[str, object] = {
    "engine": Annotated[
        str,
        typer.Option("--engine", envvar="SIDECAR_ENGINE", help="URL of a cluster; `local` starts one here meanwhile."),
    ],
    "sidecar": Annotated[
        str,
        typer.Option("--sidecar", envvar="SIDECAR_TARGET", help="host:port; `local` starts a sidecar here meanwhile."),
    ],
}
"""What the address is where it may be LOCAL, which then is the default."""

_ADDRESSES: Mapping[str, Callable[..., ClusterAddress | SidecarAddress]] = {
    "cluster": _cluster,
    "encoder": _encoder,
    "cluster_or_local": _cluster,
    "encoder_or_local": _encoder,
}


def _options_of(name: str) -> list[inspect.Parameter]:
    """Return the options that the parameter `name` stands for, the address first."""
    address, *credentials = inspect.signature(_ADDRESSES[name], eval_str=True).parameters.values()
    if name.endswith("_or_local"):
        address = address.replace(annotation=_LOCAL[address.name], default=LOCAL)
    return [address, *credentials]
