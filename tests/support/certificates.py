"""Throw-away certificates, written as a server and its clients read them, and replaced as Kubernetes replaces them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TypeAlias

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["Identity", "PrivateKey", "Secret", "authority_pem", "chained", "issued", "self_signed"]

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate with its chain, and its key; PEM."""

    certificate: bytes
    key: bytes

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write `NAME.crt` and `NAME.key`; return their paths."""
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        certificate.write_bytes(self.certificate)
        key.write_bytes(self.key)
        return certificate, key

    @property
    def serial(self) -> int:
        return x509.load_pem_x509_certificate(self.certificate).serial_number

    @property
    def expires_at(self) -> float:
        return x509.load_pem_x509_certificate(self.certificate).not_valid_after_utc.timestamp()


def authority_pem(authority: trustme.CA) -> bytes:
    return authority.cert_pem.bytes()


def issued(authority: trustme.CA, *names: str, days: float = 30.0) -> Identity:
    """A certificate for `localhost`, the loopback address and `names`, that expires in so many days."""
    until = datetime.now(UTC) + timedelta(days=days)
    leaf = authority.issue_cert("localhost", "127.0.0.1", *names, not_after=until)
    return Identity(b"".join(part.bytes() for part in leaf.cert_chain_pems), leaf.private_key_pem.bytes())


def self_signed(
    key: PrivateKey,
    *,
    begins: timedelta = timedelta(days=-1),
    ends: timedelta = timedelta(days=1),
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
    authority: bool = False,
    password: bytes | None = None,
) -> Identity:
    """A certificate such as trustme issues none: of another kind of key, time or purpose, or with an encrypted key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    encryption = serialization.NoEncryption() if password is None else serialization.BestAvailableEncryption(password)
    return Identity(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption),
    )


def chained(root: trustme.CA, *intermediates: timedelta, ends: timedelta = timedelta(days=30)) -> Identity:
    """A certificate for `localhost`, and intermediate authorities that end so long from now, the nearest first."""
    now = datetime.now(UTC)
    issuer, signing = x509.load_pem_x509_certificate(root.cert_pem.bytes()).subject, _key_of(root)
    chain: list[bytes] = []
    for number, left in enumerate((*reversed(intermediates), ends)):
        leaf, key = number == len(intermediates), ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost" if leaf else f"intermediate {number}")])
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=400))
            .not_valid_after(now + left)
            .add_extension(x509.BasicConstraints(ca=not leaf, path_length=None), critical=True)
        )
        if leaf:
            names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        chain.insert(0, builder.sign(signing, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        issuer, signing = name, key
    return Identity(
        b"".join(chain),
        signing.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )


def _key_of(authority: trustme.CA) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


class Secret:
    """A folder as the kubelet mounts a secret: files are links through `..data`, which is replaced in one step."""

    def __init__(self, folder: Path, identity: Identity, authorities: bytes) -> None:
        self._folder = folder
        self._versions = 0
        folder.mkdir()
        self.replace(identity, authorities)
        for name in ("tls.crt", "tls.key", "ca.crt"):
            (folder / name).symlink_to(Path("..data") / name)

    @property
    def certificate(self) -> Path:
        return self._folder / "tls.crt"

    @property
    def key(self) -> Path:
        return self._folder / "tls.key"

    @property
    def authorities(self) -> Path:
        return self._folder / "ca.crt"

    def replace(self, identity: Identity, authorities: bytes) -> None:
        before = [path for path in self._folder.iterdir() if path.is_dir() and not path.is_symlink()]
        self._versions += 1
        version = self._folder / f"..{self._versions}"
        version.mkdir()
        (version / "tls.crt").write_bytes(identity.certificate)
        (version / "tls.key").write_bytes(identity.key)
        (version / "ca.crt").write_bytes(authorities)
        link = self._folder / "..data_tmp"
        link.symlink_to(version.name)
        link.replace(self._folder / "..data")
        for old in before:
            shutil.rmtree(old)
