"""Certificates of a server and keys of clients."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAYS = 730
_PEM = serialization.Encoding.PEM


def write_certificates(folder: Path, names: Sequence[str]) -> Path:
    """A certificate authority, and a server's certificate for host names and addresses; returns the authority's.

    Files that exist are kept: ca.crt, ca.key, server.crt, server.key.
    """
    authority = folder / "ca.crt"
    if authority.is_file():
        return authority
    folder.mkdir(parents=True, exist_ok=True)
    ca_key, key = (ec.generate_private_key(ec.SECP384R1()) for _ in range(2))
    issuer = _name("clues certificate authority")
    usage = x509.KeyUsage(
        **{name: name in ("key_cert_sign", "crl_sign", "digital_signature") for name in _USAGES},
    )
    ca = (
        _builder(issuer, issuer, ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA384())
    )
    server = (
        _builder(_name("clues server"), issuer, key)
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA384())
    )
    write_private(folder / "ca.key", _private(ca_key, serialization.PrivateFormat.PKCS8))
    write_private(folder / "server.key", _private(key, serialization.PrivateFormat.PKCS8))
    (folder / "server.crt").write_bytes(server.public_bytes(_PEM))
    authority.write_bytes(ca.public_bytes(_PEM))
    return authority


def new_client_key() -> tuple[str, bytes]:
    """(private key in OpenSSH's format, public key in PEM) of a client, as a SuperNode and a SuperLink read them."""
    key = ec.generate_private_key(ec.SECP384R1())
    public = key.public_key().public_bytes(_PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return _private(key, serialization.PrivateFormat.OpenSSH).decode(), public


def write_private(path: Path, content: bytes) -> Path:
    """Write a file that only its owner reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    return path


_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=_DAYS))
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _private(key: ec.EllipticCurvePrivateKey, form: serialization.PrivateFormat) -> bytes:
    return key.private_bytes(_PEM, form, serialization.NoEncryption())
