"""Certificate, key and client authority: read as one, checked before anybody is served with them.

Two libraries speak TLS here: OpenSSL at the HTTP port, BoringSSL at the gRPC port. A pair is good if both can use it.
"""

from __future__ import annotations

import re
import ssl
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from sidecar.errors import SettingsInvalid
from sidecar.settings import Settings

__all__ = ["Contents", "Credentials", "TlsFiles", "shown_time"]

ATTEMPTS = 3
"""How often files are read that change in the middle: whoever replaces them does so once."""

PEM_LINE = 64

CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
KEY = re.compile(rb"-----BEGIN ((?:RSA |EC )?PRIVATE KEY)-----(.+?)-----END \1-----", re.DOTALL)
ENCRYPTED = (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED")

KEYS_OF_GRPC = (
    bytes.fromhex("300d06092a864886f70d0101010500"),
    bytes.fromhex("06072a8648ce3d020106082a8648ce3d030107"),
    bytes.fromhex("06072a8648ce3d020106052b81040022"),
)
"""How a certificate says that its key is RSA, P-256 or P-384 (DER). BoringSSL has no other for servers: with P-521 or
Ed25519 the port opens, and every handshake fails."""

WITHOUT_TIME = ssl.VerifyFlags(0x200000)
"""X509_V_FLAG_NO_CHECK_TIME, which Python has no name for: the dates are read first and judged here."""

WEAK = ("EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK")

UNSUITABLE_PURPOSE = 26
"""X509_V_ERR_INVALID_PURPOSE."""

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True, slots=True)
class Contents:
    """What was in the files, PEM."""

    certificate: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None

    def plain(self) -> Self:
        """Return the same without what stands around certificates and key, once they were checked.

        BoringSSL stumbles over a byte order mark, or blanks at the beginning of a line, that OpenSSL passes over.
        """
        key = KEY.search(self.key)
        if key is None:
            raise AssertionError("A key that was taken is none; this is a bug.")
        label, body = key[1], b"".join(key[2].split())
        lines = [body[at : at + PEM_LINE] for at in range(0, len(body), PEM_LINE)]
        return type(self)(
            _plain_certificates(self.certificate),
            b"\n".join((b"-----BEGIN " + label + b"-----", *lines, b"-----END " + label + b"-----", b"")),
            None if self.client_ca is None else _plain_certificates(self.client_ca),
        )


@dataclass(frozen=True, slots=True)
class Credentials:
    """Contents that were checked. Times are seconds since the epoch; `client_ca_expires_at` is the last authority's."""

    contents: Contents
    http: ssl.SSLContext
    expires_at: float
    client_ca_expires_at: float | None


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
        leaf = _leaf(contents.certificate, self.certificate)
        _check_key(contents.key, self.key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = VERSIONS[self.min_version]
        context.set_alpn_protocols(["http/1.1"])
        self._load_pair(context)
        expires_at = self._check_certificate(context, leaf)
        client_ca_expires_at = None
        if self.client_ca is not None and contents.client_ca is not None:
            authorities, client_ca_expires_at = _authorities(contents.client_ca, self.client_ca)
            if self.http_mutual:
                # As at the gRPC port: what the file holds is trusted by itself, an intermediate authority without its
                # root too.
                context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
                context.load_verify_locations(cadata=authorities)
                context.verify_mode = ssl.CERT_REQUIRED
        return Credentials(contents, context, expires_at, client_ca_expires_at)

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
            dates = _handshake_with(context, leaf)
        except ssl.SSLCertVerificationError as error:
            why = (
                "is not for servers: its extended key usage lacks serverAuth"
                if error.verify_code == UNSUITABLE_PURPOSE
                else f"is refused by clients: {error.verify_message}"
            )
            raise SettingsInvalid(f"{name} {why}. Have another one issued.", field="tls_certificate") from None
        except ssl.SSLError as error:
            raise SettingsInvalid(f"{name} makes no handshake ({error.reason}).", field="tls_certificate") from None
        begins_at, expires_at = (ssl.cert_time_to_seconds(dates[key]) for key in ("notBefore", "notAfter"))
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
        return float(expires_at)


def shown_time(seconds: float) -> str:
    """Return a time as RFC 3339, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


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


def _certificates(content: bytes, path: Path, setting: str) -> list[str]:
    found = CERTIFICATE.findall(content.decode("ascii", "replace"))
    try:
        for one in found:
            # One by one: of several, OpenSSL takes those before the first that is damaged, and says nothing.
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=one)
    except (ssl.SSLError, ValueError):
        found = []
    if not found:
        raise SettingsInvalid(
            f"{setting} {path} holds no certificate, or a damaged one: it must be PEM, -----BEGIN CERTIFICATE-----"
            " and so on.",
            field=setting,
        )
    return found


def _plain_certificates(content: bytes) -> bytes:
    found = CERTIFICATE.findall(content.decode("ascii", "replace"))
    return "".join(ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(one)) for one in found).encode()


def _leaf(content: bytes, path: Path) -> str:
    if b"----------BEGIN" in content:
        raise SettingsInvalid(
            f"tls_certificate {path} lacks a line end between two of its certificates, as cat leaves it: put each"
            " -----BEGIN on a line of its own.",
            field="tls_certificate",
        )
    return _certificates(content, path, "tls_certificate")[0]


def _check_key(content: bytes, path: Path) -> None:
    if any(sign in content for sign in ENCRYPTED):
        raise SettingsInvalid(
            f"tls_key {path} is encrypted, and a server that restarts by itself has nobody to ask for the passphrase:"
            " decrypt it (openssl pkey -in ENCRYPTED -out KEY) and guard it by the file's permissions.",
            field="tls_key",
        )
    if b"PRIVATE KEY-----" not in content:
        raise SettingsInvalid(
            f"tls_key {path} holds no private key: it must be PEM, -----BEGIN PRIVATE KEY----- and so on.",
            field="tls_key",
        )


def _authorities(content: bytes, path: Path) -> tuple[str, float | None]:
    """Return the certificates that clients' are checked against, and when the last authority among them expires."""
    found = "\n".join(_certificates(content, path, "tls_client_ca"))
    store = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    store.load_verify_locations(cadata=found)
    # Only authorities are listed: a client's own certificate, trusted by itself, has no date here.
    dates = [ssl.cert_time_to_seconds(str(one["notAfter"])) for one in store.get_ca_certs()]
    expires_at = float(max(dates)) if dates else None
    if expires_at is not None and expires_at <= time.time():
        raise SettingsInvalid(
            f"tls_client_ca {path} expired at {shown_time(expires_at)}: no client would be let in. Put the authority's"
            " new certificate there.",
            field="tls_client_ca",
        )
    return found, expires_at


def _handshake_with(server: ssl.SSLContext, leaf: str) -> dict[str, str]:
    """Greet `server` in memory, as a client that trusts `leaf` and looks at no date; return the dates it was shown."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | WITHOUT_TIME
    client.load_verify_locations(cadata=leaf)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    caller, answerer = client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True)
    waiting = [caller, answerer]
    while waiting:
        side = waiting.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(side)
    shown = caller.getpeercert()
    if shown is None:
        raise AssertionError("A client that was shown a certificate has none; this is a bug.")
    return {key: str(shown[key]) for key in ("notBefore", "notAfter")}
