"""Certificates that TLS accepts for the names they are for, and keys that only their owner reads."""

from __future__ import annotations

import socket
import ssl
import threading

import pytest
from cryptography.hazmat.primitives import serialization

from clues.collaboration.flower.keys import new_client_key, write_certificates, write_private


def shaken(folder, authority, name: str) -> str:
    """The protocol of a TLS connection to a server with the folder's certificate, under a name."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.crt", folder / "server.key")
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            server.wrap_socket(theirs, server_side=True).close()
        except OSError:
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with ssl.create_default_context(cafile=authority).wrap_socket(ours, server_hostname=name) as sock:
            return str(sock.version())
    finally:
        ours.close()
        thread.join()


def test_tls_accepts_the_certificate_for_its_names_only(tmp_path):
    authority = write_certificates(tmp_path, ["clues.hospital.org", "127.0.0.1"])
    for name in ("clues.hospital.org", "127.0.0.1"):
        assert shaken(tmp_path, authority, name).startswith("TLS")
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken(tmp_path, authority, "other.org")
    other = write_certificates(tmp_path / "other", ["127.0.0.1"])
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken(tmp_path, other, "127.0.0.1")


def test_certificates_are_made_once_and_their_keys_are_private(tmp_path):
    files = ("ca.crt", "ca.key", "server.crt", "server.key")
    write_certificates(tmp_path, ["localhost"])
    before = [(tmp_path / name).read_bytes() for name in files]
    write_certificates(tmp_path, ["localhost"])
    assert [(tmp_path / name).read_bytes() for name in files] == before
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("ca.key", "server.key")} == {0o600}


def test_a_new_name_gives_the_server_a_new_certificate_of_the_same_authority(tmp_path):
    authority = write_certificates(tmp_path, ["localhost"]).read_bytes()
    assert write_certificates(tmp_path, ["clues.hospital.org"]).read_bytes() == authority
    for name in ("localhost", "clues.hospital.org"):
        assert shaken(tmp_path, tmp_path / "ca.crt", name).startswith("TLS")


def test_a_clients_keys_are_a_pair_that_flower_reads():
    private, public = new_client_key()
    key = serialization.load_ssh_private_key(private.encode(), None)
    assert serialization.load_pem_public_key(public) == key.public_key()
    assert key.curve.name == "secp384r1"
    assert new_client_key()[0] != private


def test_a_private_file_replaces_one_that_others_could_read(tmp_path):
    (tmp_path / "key").write_text("old")
    (tmp_path / "key").chmod(0o644)
    assert write_private(tmp_path / "key", b"new").read_bytes() == b"new"
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
