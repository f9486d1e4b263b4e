"""Certificates that are replaced while the sidecar serves: noticed, checked, and taken for new connections."""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import Self

import grpc
import structlog

from sidecar.errors import SettingsInvalid
from sidecar.server import metrics
from sidecar.server.in_thread import in_thread
from sidecar.server.incidents import whereabouts
from sidecar.server.tls.checks import shown_time
from sidecar.server.tls.files import Credentials, TlsFiles
from sidecar.settings import Settings

__all__ = ["Tls"]

LOOK_SECONDS = 5.0
"""How often the files are read. Kubernetes takes a minute to bring a new secret, and cert-manager renews days ahead."""

log = structlog.get_logger(__name__)


class Tls:
    """The certificate in force at both data ports. Connections that are open keep the one they began with.

    Usage:
        tls = Tls.load(settings)            # None: off
        tls.watch()
        server.add_secure_port(address, tls.grpc_credentials())
        tls.http()                          # for one new connection
        tls.close()
    """

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._current = files.load()
        self._failure: str | None = None
        self._told: str | None = None
        self._expired: set[str] = set()
        self._watching: asyncio.Task[None] | None = None
        self._publish()
        self._tell_expiry()

    @classmethod
    def load(cls, settings: Settings) -> Self | None:
        """Read and check what the settings name; None where TLS is off. Raises SettingsInvalid."""
        files = TlsFiles.of(settings)
        if files is None:
            metrics.describe_certificates({})
            return None
        return cls(files)

    @property
    def current(self) -> Credentials:
        """What new connections are served with."""
        return self._current

    def facts(self) -> dict[str, str]:
        """Return what a log line says of the certificate in force, and of those that signed it."""
        chain = self._current.chain_expires_at
        return {
            "expires_at": shown_time(self._current.expires_at),
            **({} if chain is None else {"chain_expires_at": shown_time(chain)}),
        }

    def http(self) -> ssl.SSLContext:
        """Return the context of one new HTTP connection."""
        return self._current.http

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """Return credentials that ask for the certificate in force at every handshake."""
        given = self._current

        def newest() -> grpc.ServerCertificateConfiguration | None:
            nonlocal given
            current = self._current
            if current is given:
                return None
            given = current
            return _configuration(current)

        return grpc.dynamic_ssl_server_credentials(
            _configuration(given),
            newest,  # type: ignore[arg-type]  # its stubs forget what the documentation allows
            require_client_authentication=given.contents.client_ca is not None,
        )

    def watch(self) -> None:
        """Look at the files every LOOK_SECONDS, in the running event loop, until `close`."""
        self._watching = asyncio.create_task(self._watch())

    def close(self) -> None:
        """Look no more."""
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None

    def look(self) -> None:
        """Take what the files hold now, if it is new and good; else stay with what is in force, and say so once."""
        self._tell_expiry()
        try:
            if self._files.read() == self._current.contents:
                self._failure = self._told = None
                return
            loaded = self._files.load()
        except SettingsInvalid as error:
            # Two files copied one after the other do not fit each other for a moment: only what lasts is told.
            if error.message == self._failure and error.message != self._told:
                self._told = error.message
                log.warning(
                    "the new certificate is refused, the old one stays",
                    reason=error.message,
                    **self.facts(),
                )
            self._failure = error.message
            return
        self._failure = self._told = None
        self._current = loaded
        self._expired.clear()
        self._publish()
        log.info("certificate replaced", **self.facts())

    def _tell_expiry(self) -> None:
        for what in self._current.expired(time.time()):
            if what not in self._expired:
                self._expired.add(what)
                log.error(what, **self.facts())

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                # A file system that hangs must hold up neither the calls nor the end of the process.
                await in_thread(self.look)
            except Exception as error:
                # Whatever it was, the next look may find better files.
                log.error("the certificate files could not be looked at", **whereabouts(error))

    def _publish(self) -> None:
        expiry = {
            "server": self._current.expires_at,
            "chain": self._current.chain_expires_at,
            "client_ca": self._current.client_ca_expires_at,
        }
        metrics.describe_certificates({name: at for name, at in expiry.items() if at is not None})


def _configuration(credentials: Credentials) -> grpc.ServerCertificateConfiguration:
    contents = credentials.contents.plain()
    return grpc.ssl_server_certificate_configuration([(contents.key, contents.certificate)], contents.client_ca)
