"""Where the cluster is that is searched, and who the sidecar is there."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeAlias

from sidecar.engine import Engine
from sidecar.engine.access import CONNECTIONS, Access
from sidecar.engine.aws import DOMAINS, AwsSigning
from sidecar.errors import InvalidInput, SettingsInvalid
from sidecar.settings import Settings

__all__ = ["Certificates", "ClusterAccess"]

Certificates: TypeAlias = tuple[bytes, ...]
"""What the files of authorities, certificate and key hold."""


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """The cluster's address and our credentials; `shown` is the address for logs and `/buildinfo`.

    Usage:
        access = ClusterAccess.of(settings)
        engine = await access.connect()
    """

    url: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    password_file: Path | None = None
    api_key_file: Path | None = None
    ca: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    insecure: bool = False
    connections: int = CONNECTIONS
    aws_region: str | None = None
    aws_service: str = DOMAINS
    shown: str = ""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take the settings that begin with `search_`; raise SettingsInvalid for what can't be used.

        Nobody is connected to. Files are looked at now, so that a wrong path ends the start and no search.
        """
        url = settings.search_engine or ""
        if "@" in url:
            raise SettingsInvalid(
                "Setting search_engine: an address without user and password; they have settings of their own,"
                " search_user and search_password.",
                field="search_engine",
            )
        region, service = settings.search_aws_region, settings.search_aws_service
        key_file = settings.search_api_key_file
        api_key = None if key_file is None else _secret(key_file, "search_api_key_file")
        try:
            shown = Access(url, settings.search_user, api_key=api_key, aws=AwsSigning.of(region, service)).shown
        except InvalidInput as error:
            setting = "search_api_key_file" if error.field == "api_key" else f"search_{error.field}"
            raise SettingsInvalid(f"Setting {setting}: {error.message}", field=setting) from None
        given = settings.search_password
        access = cls(
            url=url,
            user=settings.search_user,
            password=None if given is None else given.get_secret_value(),
            password_file=settings.search_password_file,
            api_key_file=settings.search_api_key_file,
            ca=settings.search_ca,
            client_certificate=settings.search_client_certificate,
            client_key=settings.search_client_key,
            insecure=settings.search_insecure,
            connections=max(CONNECTIONS, settings.max_searches),
            aws_region=region,
            aws_service=service,
            shown=shown,
        )
        access.password_now()
        access.certificates()
        return access

    @property
    def has_certificates(self) -> bool:
        """Whether there are files of certificates to be looked at."""
        return bool(self._certificate_files())

    def certificates(self) -> Certificates:
        """Return what the files of certificates hold now; raise SettingsInvalid for one that can't be read."""
        return tuple(_read(path, setting) for setting, path in self._certificate_files())

    def password_now(self) -> str | None:
        """Return the password, read again where it lies in a file; raise SettingsInvalid where it can't be."""
        return self.password if self.password_file is None else _secret(self.password_file, "search_password_file")

    def api_key_now(self) -> str | None:
        """Return the API key as its file has it now; raise SettingsInvalid where that can't be read."""
        return None if self.api_key_file is None else _secret(self.api_key_file, "search_api_key_file")

    async def connect(self, timeout: float) -> Engine:
        """Return a connected engine; `timeout` is the seconds that connecting may take. Raises EngineError."""
        return await Engine.connect(
            self.url,
            user=self.user,
            password=self.password_now(),
            api_key=self.api_key_now(),
            ca_certificates=self.ca,
            client_certificate=self.client_certificate,
            client_key=self.client_key,
            verify_certificates=not self.insecure,
            timeout=timeout,
            connections=self.connections,
            aws_region=self.aws_region,
            aws_service=self.aws_service,
        )

    def _certificate_files(self) -> tuple[tuple[str, Path], ...]:
        files = (
            ("search_ca", self.ca),
            ("search_client_certificate", self.client_certificate),
            ("search_client_key", self.client_key),
        )
        return tuple((setting, path) for setting, path in files if path is not None)


def _secret(path: Path, setting: str) -> str:
    # Editors and `echo` end a file with a line's end, which is no part of a secret.
    secret = _read(path, setting).decode("utf-8", "replace").strip("\r\n")
    if not secret:
        raise SettingsInvalid(f"Setting {setting}: {path} is empty.", field=setting)
    return secret


def _read(path: Path, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsInvalid(f"Setting {setting}: {path} can't be read: {error.strerror}.", field=setting) from None
