"""Options by which commands find the cluster and the sidecar, and the connections made of them."""

from __future__ import annotations

import inspect
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
    "DEFAULT_ENGINE",
    "CaOption",
    "ClusterAddress",
    "EngineOption",
    "InsecureOption",
    "PasswordOption",
    "SidecarAddress",
    "SidecarCaOption",
    "TokenOption",
    "UserOption",
    "with_addresses",
]

DEFAULT_ENGINE = "http://127.0.0.1:9200"
DEFAULT_SIDECAR = "127.0.0.1:50051"

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


@dataclass(frozen=True, slots=True)
class ClusterAddress:
    """Where the cluster is, and who we are there."""

    url: str
    user: str | None = None
    password: str | None = None
    ca: Path | None = None
    insecure: bool = False

    async def connect(self) -> Engine:
        """Return a connected engine; raise EngineError."""
        from sidecar.engine import Engine

        return await Engine.connect(
            self.url,
            user=self.user,
            password=self.password,
            ca_certificates=self.ca,
            verify_certificates=not self.insecure,
        )


@dataclass(frozen=True, slots=True)
class SidecarAddress:
    """Where the sidecar is."""

    target: str
    token: str | None = None
    ca: Path | None = None

    def client(self) -> AsyncSidecarClient:
        """Return a client; it connects with its first call."""
        from sidecar.client import AsyncSidecarClient

        return AsyncSidecarClient(self.target, token=self.token, root_certificates=self._certificates())

    def _certificates(self) -> bytes | None:
        if self.ca is None:
            return None
        try:
            return self.ca.read_bytes()
        except OSError as error:
            raise InvalidInput(f"{self.ca} can't be read ({error.strerror}).", field="sidecar_ca") from error


def with_addresses(command: Callable[..., None]) -> Callable[..., None]:
    """Return `command` as Typer is to see it: options instead of its parameters `cluster` and `encoder`.

    `cluster` is a ClusterAddress, `encoder` a SidecarAddress. Where the address itself (--engine, --sidecar) stands in
    the help is where the parameter stands; who we are there, and how that is proven, comes last.
    """
    shown: list[inspect.Parameter] = []
    last: list[inspect.Parameter] = []
    options: dict[str, tuple[str, ...]] = {}
    signature = inspect.signature(command, eval_str=True)
    for name, parameter in signature.parameters.items():
        if name in _ADDRESSES:
            needed = inspect.signature(_ADDRESSES[name], eval_str=True).parameters
            options[name] = tuple(needed)
            address, *credentials = needed.values()
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
    ca: CaOption = None,
    insecure: InsecureOption = False,
) -> ClusterAddress:
    return ClusterAddress(engine, user, password, ca, insecure)


def _encoder(
    sidecar: SidecarOption = DEFAULT_SIDECAR, token: TokenOption = None, sidecar_ca: SidecarCaOption = None
) -> SidecarAddress:
    return SidecarAddress(sidecar, token, sidecar_ca)


_ADDRESSES: Mapping[str, Callable[..., ClusterAddress | SidecarAddress]] = {"cluster": _cluster, "encoder": _encoder}
