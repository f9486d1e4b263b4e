"""Certificates and keys that are of no use: each is refused by name, with what to do, before anything is served."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from sidecar.errors import SettingsInvalid
from sidecar.server.tls import Credentials, TlsFiles
from sidecar.server.tls import files as module
from sidecar.settings import load_settings
from tests.support.certificates import Identity, authority_pem, chained, issued, self_signed

P256 = ec.generate_private_key(ec.SECP256R1())
AUTHORITY = trustme.CA()
GOOD = issued(AUTHORITY)

BOM = b"\xef\xbb\xbf"
"""What editors of Windows put before the first line."""


def load(folder: Path, identity: Identity, authorities: bytes | None = None, **more: object) -> Credentials:
    certificate, key = identity.write(folder, "server")
    given: dict[str, object] = {"tls_certificate": certificate, "tls_key": key}
    if authorities is not None:
        (folder / "ca.crt").write_bytes(authorities)
        given["tls_client_ca"] = folder / "ca.crt"
    files = TlsFiles.of(load_settings(**{**given, **more}))
    assert files is not None
    return files.load()


def refused(folder: Path, identity: Identity, authorities: bytes | None = None) -> SettingsInvalid:
    with pytest.raises(SettingsInvalid) as raised:
        load(folder, identity, authorities)
    return raised.value


def test_tls_is_off_where_no_certificate_is_named() -> None:
    assert TlsFiles.of(load_settings()) is None


@pytest.mark.parametrize(
    "key",
    [P256, ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65_537, 2_048)],
    ids=["p256", "p384", "rsa"],
)
def test_what_both_libraries_serve_with_is_taken(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    identity = self_signed(key)
    loaded = load(tmp_path, identity)
    assert loaded.contents.certificate == identity.certificate
    assert loaded.expires_at == identity.expires_at
    assert loaded.client_ca_expires_at is None
    assert loaded.http.verify_mode is ssl.CERT_NONE
    assert loaded.http.minimum_version is ssl.TLSVersion.TLSv1_2


def test_one_file_may_hold_certificate_and_key(tmp_path: Path) -> None:
    both = Identity(GOOD.key + GOOD.certificate, GOOD.certificate + GOOD.key)
    assert load(tmp_path, both).expires_at == GOOD.expires_at


@pytest.mark.parametrize("kind", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("key", [P256, rsa.generate_private_key(65_537, 2_048)], ids=["p256", "rsa"])
def test_grpc_gets_certificates_and_key_without_what_stands_around_them(
    tmp_path: Path, key: rsa.RSAPrivateKey, kind: serialization.PrivateFormat
) -> None:
    pem = key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption())
    certificate = self_signed(key).certificate
    around = Identity(BOM + b"of whom\n" + certificate, BOM + pem.replace(b"\n", b"\r\n"))
    plain = load(tmp_path, around, BOM + authority_pem(AUTHORITY)).contents.plain()
    assert (plain.certificate, plain.key, plain.client_ca) == (certificate, pem, authority_pem(AUTHORITY))
    assert plain.plain() == plain


def test_the_key_is_in_no_representation(tmp_path: Path) -> None:
    assert GOOD.key.splitlines()[1].decode() not in repr(load(tmp_path, GOOD))


def test_the_http_port_may_ask_for_1_3_and_for_client_certificates(tmp_path: Path) -> None:
    authorities = authority_pem(AUTHORITY)
    loaded = load(tmp_path, GOOD, authorities, tls_min_version="1.3")
    assert loaded.http.minimum_version is ssl.TLSVersion.TLSv1_3
    assert loaded.http.verify_mode is ssl.CERT_REQUIRED
    assert [one["serialNumber"] for one in loaded.http.get_ca_certs()]
    assert loaded.client_ca_expires_at is not None
    alone = load(tmp_path, GOOD, authorities, tls_http_mutual=False)
    assert alone.http.verify_mode is ssl.CERT_NONE
    assert alone.contents.client_ca == authorities, "gRPC asks for them all the same"


@pytest.mark.parametrize("setting", ["tls_certificate", "tls_key", "tls_client_ca"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, setting: str) -> None:
    missing = tmp_path / "no-such-file.pem"
    with pytest.raises(SettingsInvalid, match=f"{setting} {missing} can't be read: No such file") as raised:
        load(tmp_path, GOOD, None if setting == "tls_client_ca" else authority_pem(AUTHORITY), **{setting: missing})
    assert raised.value.field == setting


@pytest.mark.parametrize(
    ("identity", "field", "said"),
    [
        pytest.param(Identity(GOOD.certificate, issued(AUTHORITY).key), "tls_key", "does not fit", id="other-key"),
        pytest.param(
            Identity(GOOD.certificate, self_signed(rsa.generate_private_key(65_537, 2_048)).key),
            "tls_key",
            "does not fit",
            id="other-kind-of-key",
        ),
        pytest.param(Identity(GOOD.certificate, b""), "tls_key", "holds no private key", id="empty-key"),
        pytest.param(
            Identity(GOOD.certificate, GOOD.certificate), "tls_key", "holds no private key", id="certificate-for-key"
        ),
        pytest.param(
            Identity(GOOD.certificate, GOOD.key.replace(b"M", b"!", 2)),
            "tls_key",
            "export the key anew",
            id="damaged-key",
        ),
        pytest.param(self_signed(P256, password=b"secret"), "tls_key", "encrypted.*openssl pkey", id="encrypted-key"),
        pytest.param(Identity(b"\xff\x00", GOOD.key), "tls_certificate", "must be PEM", id="no-pem"),
        pytest.param(Identity(GOOD.key, GOOD.key), "tls_certificate", "holds no certificate", id="key-for-certificate"),
        pytest.param(
            Identity(GOOD.certificate.replace(b"M", b"A", 3), GOOD.key),
            "tls_certificate",
            "damaged",
            id="damaged-certificate",
        ),
        pytest.param(
            Identity(GOOD.certificate.strip() + GOOD.certificate, GOOD.key),
            "tls_certificate",
            "lacks a line end between two",
            id="glued",
        ),
        pytest.param(self_signed(P256, ends=timedelta(hours=-1)), "tls_certificate", "expired at 20", id="expired"),
        pytest.param(
            self_signed(P256, begins=timedelta(hours=1)), "tls_certificate", "not valid before.*clock", id="not-yet"
        ),
        pytest.param(
            self_signed(P256, usage=ExtendedKeyUsageOID.CLIENT_AUTH), "tls_certificate", "not for servers", id="purpose"
        ),
        pytest.param(
            self_signed(rsa.generate_private_key(65_537, 1_024)), "tls_certificate", "too weak", id="short-key"
        ),
        pytest.param(
            self_signed(ec.generate_private_key(ec.SECP521R1())), "tls_certificate", "P-256 or P-384", id="p521"
        ),
        pytest.param(
            self_signed(ed25519.Ed25519PrivateKey.generate()), "tls_certificate", "P-256 or P-384", id="ed25519"
        ),
    ],
)
def test_a_pair_of_no_use_is_refused_with_what_to_do(tmp_path: Path, identity: Identity, field: str, said: str) -> None:
    error = refused(tmp_path, identity)
    assert error.field == field
    assert str(tmp_path / "server") in error.message
    with pytest.raises(SettingsInvalid, match=said):
        raise error
    assert "secret" not in error.message


@pytest.mark.parametrize(
    ("authorities", "said"),
    [
        (b"", "holds no certificate"),
        (GOOD.key, "holds no certificate"),
        (authority_pem(AUTHORITY) + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "damaged"),
        (self_signed(P256, authority=True, ends=timedelta(hours=-1)).certificate, "expired at .* no client"),
    ],
    ids=["empty", "key", "second-damaged", "expired"],
)
def test_client_authorities_of_no_use_are_refused(tmp_path: Path, authorities: bytes, said: str) -> None:
    error = refused(tmp_path, GOOD, authorities)
    assert error.field == "tls_client_ca"
    with pytest.raises(SettingsInvalid, match=said):
        raise error


def test_of_several_authorities_the_last_that_expires_counts(tmp_path: Path) -> None:
    old = self_signed(P256, authority=True, ends=timedelta(hours=-1))
    new = self_signed(ec.generate_private_key(ec.SECP256R1()), authority=True, ends=timedelta(days=9))
    loaded = load(tmp_path, GOOD, old.certificate + new.certificate)
    assert loaded.client_ca_expires_at == new.expires_at


@pytest.mark.parametrize(
    ("intermediates", "first"),
    [
        ((timedelta(days=3),), 0),
        ((timedelta(days=9), timedelta(days=4)), 1),
        ((timedelta(days=4), timedelta(days=9)), 0),
        ((timedelta(days=90), timedelta(hours=-1)), 1),
    ],
    ids=["one", "the-second", "the-first", "expired"],
)
def test_of_those_that_signed_it_the_first_that_expires_counts(
    tmp_path: Path, intermediates: tuple[timedelta, ...], first: int
) -> None:
    identity = chained(AUTHORITY, *intermediates)
    loaded = load(tmp_path, identity)
    ends = [one.not_valid_after_utc.timestamp() for one in x509.load_pem_x509_certificates(identity.certificate)]
    assert loaded.expires_at == ends[0]
    assert loaded.chain_expires_at == ends[1 + first] == min(ends[1:])


def test_a_certificate_without_those_that_signed_it_has_no_date_of_theirs(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD).chain_expires_at is None
    # A certificate of somebody else, which signed nothing, is none of them.
    stray = Identity(GOOD.certificate + self_signed(P256, ends=timedelta(hours=-1)).certificate, GOOD.key)
    assert load(tmp_path, stray).chain_expires_at is None


def test_what_has_expired_is_said_for_each(tmp_path: Path) -> None:
    loaded = load(tmp_path, chained(AUTHORITY, timedelta(days=3)))
    assert loaded.chain_expires_at is not None
    assert loaded.expired(loaded.chain_expires_at - 1.0) == ()
    (chain,) = loaded.expired(loaded.chain_expires_at)
    assert "follows the server's own" in chain
    assert len(loaded.expired(loaded.expires_at)) == 2


def test_files_that_are_replaced_while_they_are_read_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = issued(AUTHORITY)
    certificate, key = GOOD.write(tmp_path, "server")
    files = TlsFiles.of(load_settings(tls_certificate=certificate, tls_key=key))
    assert files is not None
    read = module.TlsFiles.read

    def replaced_after(self: TlsFiles) -> module.Contents:
        contents = read(self)
        new.write(tmp_path, "server")
        return contents

    monkeypatch.setattr(module.TlsFiles, "read", replaced_after)
    assert files.load().contents.certificate == new.certificate


def test_files_that_never_hold_still_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = GOOD.write(tmp_path, "server")
    files = TlsFiles.of(load_settings(tls_certificate=certificate, tls_key=key))
    assert files is not None
    read = module.TlsFiles.read

    def restless(self: TlsFiles) -> module.Contents:
        contents = read(self)
        issued(AUTHORITY).write(tmp_path, "server")
        return contents

    monkeypatch.setattr(module.TlsFiles, "read", restless)
    with pytest.raises(SettingsInvalid, match="change faster"):
        files.load()
