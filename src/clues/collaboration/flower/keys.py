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

    Files: ca.crt, ca.key, server.crt, server.key. Those that exist are kept; a name that the server's certificate does
    not have gives it a new one.
    """
    authority, certificate = folder / "ca.crt", folder / "server.crt"
    if not authority.is_file():
        _write_authority(folder)
    known = _names(certificate) if certificate.is_file() else []
    if not set(names) <= set(known):
        _write_server(folder, list(dict.fromkeys([*known, *names])))
    return authority


def _write_authority(folder: Path) -> None:
    key, name = ec.generate_private_key(ec.SECP384R1()), _name("clues certificate authority")
    usage = x509.KeyUsage(
        **{name: name in ("key_cert_sign", "crl_sign", "digital_signature") for name in _USAGES},
    )
    ca = (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA384())
    )
    write_private(folder / "ca.key", _private(key, serialization.PrivateFormat.PKCS8))
    (folder / "ca.crt").write_bytes(ca.public_bytes(_PEM))


def _write_server(folder: Path, names: Sequence[str]) -> None:
    ca = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
    signer = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP384R1())
    server = (
        _builder(_name("clues server"), ca.subject, key)
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA384())
    )
    write_private(folder / "server.key", _private(key, serialization.PrivateFormat.PKCS8))
    (folder / "server.crt").write_bytes(server.public_bytes(_PEM))


def _names(certificate: Path) -> list[str]:
    """The host names and addresses that a certificate is for."""
    held = x509.load_pem_x509_certificate(certificate.read_bytes())
    names = held.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in names]


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
