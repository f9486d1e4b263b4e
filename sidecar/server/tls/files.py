"""Certificate, key and client authority: read as one, checked before anybody is served with them.

Two libraries speak TLS here: OpenSSL at the HTTP port, BoringSSL at the gRPC port. A pair is good if both can use it.
"""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sidecar.errors import SettingsInvalid
from sidecar.server.tls.checks import authorities_of, chain_of, check_key, first_end, shown_dates, shown_time
from sidecar.server.tls.pem import Contents
from sidecar.settings import Settings

__all__ = ["Credentials", "TlsFiles"]

ATTEMPTS = 3
"""How often files are read that change in the middle: whoever replaces them does so once."""

KEYS_OF_GRPC = (
    bytes.fromhex("300d06092a864886f70d0101010500"),
    bytes.fromhex("06072a8648ce3d020106082a8648ce3d030107"),
    bytes.fromhex("06072a8648ce3d020106052b81040022"),
)
"""How a certificate says that its key is RSA, P-256 or P-384 (DER). BoringSSL has no other for servers: with P-521 or
Ed25519 the port opens, and every handshake fails."""

WEAK = ("EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK")

UNSUITABLE_PURPOSE = 26
"""X509_V_ERR_INVALID_PURPOSE."""

EXPIRED = "the certificate in force has expired: clients refuse it"

EXPIRED_CHAIN = "a certificate that follows the server's own has expired: clients that have no newer one refuse both"
"""Of an authority that signed it. It is served all the same: clients may know another way to an authority of theirs."""

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True, slots=True)
class Credentials:
    """Contents that were checked. Times are seconds since the epoch.

    `expires_at` is the server's own certificate, `chain_expires_at` the first to expire of those that signed it and
    stand in the same file (None: none does), `client_ca_expires_at` the last of the clients' authorities.
    """

    contents: Contents
    http: ssl.SSLContext
    expires_at: float
    chain_expires_at: float | None
    client_ca_expires_at: float | None

    def expired(self, now: float) -> tuple[str, ...]:
        """Return what is to be said of that which has expired; nothing where all of it holds."""
        said = ((self.expires_at, EXPIRED), (self.chain_expires_at, EXPIRED_CHAIN))
        return tuple(what for expires_at, what in said if expires_at is not None and expires_at <= now)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the files are, and what the HTTP port makes of them."""

    certificate: Path
    key: Path
    client_ca: Path | None
    http_mutual: bool
    min_version: str

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """Return the files that the settings name, or None where TLS is off."""
        if settings.tls_certificate is None or settings.tls_key is None:
            return None
        return cls(
            settings.tls_certificate,
            settings.tls_key,
            settings.tls_client_ca,
            settings.tls_http_mutual,
            settings.tls_min_version,
        )

    def read(self) -> Contents:
        """Read all files; raise SettingsInvalid for one that can't be read."""
        return Contents(
            _read(self.certificate, "tls_certificate"),
            _read(self.key, "tls_key"),
            None if self.client_ca is None else _read(self.client_ca, "tls_client_ca"),
        )

    def load(self) -> Credentials:
        """Read and check the files.

        Raises SettingsInvalid, which names the setting and what to do: a file that can't be read or is no PEM, an
        encrypted key, a key that does not fit, a certificate that is expired, not valid yet, not for servers, or of
        a kind that one of the two libraries has not.
        """
        for _ in range(ATTEMPTS):
            contents = self.read()
            try:
                loaded = self._checked(contents)
            except SettingsInvalid:
                if self.read() == contents:
                    raise
            else:
                # OpenSSL reads the files by itself: only if they are still the same did it read what was checked.
                if self.read() == contents:
                    return loaded
        raise SettingsInvalid(
            f"{self.certificate} and {self.key} change faster than they can be read.", field="tls_certificate"
        )

    def _checked(self, contents: Contents) -> Credentials:
        leaf, chain = chain_of(contents.certificate, self.certificate)
        check_key(contents.key, self.key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = VERSIONS[self.min_version]
        context.set_alpn_protocols(["http/1.1"])
        self._load_pair(context)
        expires_at = self._check_certificate(context, leaf)
        client_ca_expires_at = None
        if self.client_ca is not None and contents.client_ca is not None:
            authorities, client_ca_expires_at = authorities_of(contents.client_ca, self.client_ca)
            if self.http_mutual:
                # As at the gRPC port: what the file holds is trusted by itself, an intermediate authority without its
                # root too.
                context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
                context.load_verify_locations(cadata=authorities)
                context.verify_mode = ssl.CERT_REQUIRED
        return Credentials(contents, context, expires_at, first_end(chain), client_ca_expires_at)

    def _load_pair(self, context: ssl.SSLContext) -> None:
        try:
            # With a password given, OpenSSL never asks for one at the terminal.
            context.load_cert_chain(self.certificate, self.key, password="")
        except ssl.SSLError as error:
            match error.reason:
                case "KEY_VALUES_MISMATCH" | "KEY_TYPE_MISMATCH" | "NO_CERTIFICATE_ASSIGNED":
                    raise SettingsInvalid(
                        f"tls_key {self.key} does not fit tls_certificate {self.certificate}: it is the key of another"
                        " certificate. The certificate comes first in its file, those that signed it after it.",
                        field="tls_key",
                    ) from None
                case reason if reason in WEAK:
                    raise SettingsInvalid(
                        f"tls_certificate {self.certificate} is too weak for OpenSSL ({reason}): have one issued with"
                        " RSA of 2,048 bits or more, P-256 or P-384, and SHA-256.",
                        field="tls_certificate",
                    ) from None
                case reason:
                    raise SettingsInvalid(
                        f"tls_key {self.key} can't be used with tls_certificate {self.certificate}"
                        f" ({reason or 'damaged PEM'}): export the key anew, unencrypted, as PEM.",
                        field="tls_key",
                    ) from None
        except OSError as error:
            raise _unreadable(self.certificate, "tls_certificate", error) from None

    def _check_certificate(self, context: ssl.SSLContext, leaf: str) -> float:
        name = f"tls_certificate {self.certificate}"
        if not any(kind in ssl.PEM_cert_to_DER_cert(leaf) for kind in KEYS_OF_GRPC):
            raise SettingsInvalid(
                f"{name} has a kind of key that gRPC's library can't serve with: have one issued for RSA, or for ECDSA"
                " on P-256 or P-384.",
                field="tls_certificate",
            )
        try:
            begins_at, expires_at = shown_dates(context, leaf)
        except ssl.SSLCertVerificationError as error:
            why = (
                "is not for servers: its extended key usage lacks serverAuth"
                if error.verify_code == UNSUITABLE_PURPOSE
                else f"is refused by clients: {error.verify_message}"
            )
            raise SettingsInvalid(f"{name} {why}. Have another one issued.", field="tls_certificate") from None
        except ssl.SSLError as error:
            raise SettingsInvalid(f"{name} makes no handshake ({error.reason}).", field="tls_certificate") from None
        now = time.time()
        if expires_at <= now:
            raise SettingsInvalid(
                f"{name} expired at {shown_time(expires_at)}: have it renewed.", field="tls_certificate"
            )
        if begins_at > now:
            raise SettingsInvalid(
                f"{name} is not valid before {shown_time(begins_at)}: compare this machine's clock.",
                field="tls_certificate",
            )
        return expires_at


def _read(path: Path, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, setting, error) from None


def _unreadable(path: Path, setting: str, error: OSError) -> SettingsInvalid:
    return SettingsInvalid(
        f"{setting} {path} can't be read: {error.strerror}. It must be a PEM file that this user may read.",
        field=setting,
    )
