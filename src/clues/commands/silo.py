"""`clues client` and its checks: a data owner's file is looked at whole before anything is started."""

from __future__ import annotations

import contextlib
import socket
import ssl
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from clues.errors import ConfigError, all_of
from clues.settings import ClientId, ServerSettings, SiloFile, read_silo


def preflight(file: Path) -> list[str]:
    """A line for each of data, model and server that is as it should be.

    Raises:
        CluesError: lists what is not.
    """
    from clues.collaboration.resident import examined

    own = read_silo(file)
    lines, server = all_of(lambda: examined(own), lambda: reached(own))
    return [*lines, server]


def checked_id(client: str) -> str:
    """Raises ConfigError if an id cannot be the name of a folder."""
    try:
        return TypeAdapter(ClientId).validate_python(client)
    except ValidationError:
        raise ConfigError(
            "id: use letters, digits, '.', '_' and '-', at most 64, the first a letter or digit."
        ) from None


def reached(silo: SiloFile) -> str:
    """That the server is there and its certificate good. Raises ConfigError if not."""
    if silo.server is None:
        return "server: none is named"
    host, _, port = silo.server.address.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigError("server.address: write it as host:port.")
    try:
        with socket.create_connection((host, int(port)), timeout=10) as sock:
            return f"server: {silo.server.address} is there{_encrypted(silo.server, sock, host)}"
    except ssl.SSLError:
        raise ConfigError(
            "server.root_certificates: did not sign the certificate that the server shows, or the server has none."
        ) from None
    except OSError as error:
        raise ConfigError(f"server.address: nobody answers at {silo.server.address} ({error.strerror}).") from None


def _encrypted(server: ServerSettings, sock: socket.socket, host: str) -> str:
    """Raises SSLError if the server's certificate is not as it should be."""
    given = server.root_certificates
    if given is None:
        return _unencrypted(sock)
    is_text = given.startswith("-----BEGIN")
    context = ssl.create_default_context(cadata=given if is_text else None, cafile=None if is_text else given)
    with contextlib.closing(context.wrap_socket(sock, server_hostname=host)):
        return ", and its certificate is good"


def _unencrypted(sock: socket.socket) -> str:
    """Raises ConfigError if the server speaks TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        context.wrap_socket(sock).close()
    except OSError:  # that of TLS is one
        return ", and nothing is encrypted"
    raise ConfigError(
        "server.root_certificates: is missing, but the server encrypts; name what signed its certificate."
    )
