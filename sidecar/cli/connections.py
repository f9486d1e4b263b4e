"""Options by which commands find the cluster and the sidecar, and the connections made of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from sidecar.errors import InvalidInput

if TYPE_CHECKING:
    from sidecar.client import AsyncSidecarClient
    from sidecar.engine import Engine

__all__ = [
    "DEFAULT_ENGINE",
    "DEFAULT_SIDECAR",
    "CaOption",
    "ClusterAddress",
    "EngineOption",
    "InsecureOption",
    "PasswordOption",
    "SidecarAddress",
    "SidecarCaOption",
    "SidecarOption",
    "TokenOption",
    "UserOption",
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
