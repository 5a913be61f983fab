"""`clues client` and its checks: a data owner's file is looked at whole before anything is started."""

from __future__ import annotations

import contextlib
import socket
import ssl
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from clues.collaboration.resident import read_silo
from clues.data.samples import read_private
from clues.errors import ConfigError, all_of
from clues.models.base import load_base
from clues.selection.metrics import read_labels
from clues.settings import ClientId, DataSettings, ServerSettings, SiloFile


def preflight(file: Path) -> list[str]:
    """A line for each of data, model and server that is as it should be.

    Raises:
        CluesError: lists what is not.
    """
    silo = read_silo(file)
    return [line for line in all_of(lambda: _data(silo), lambda: _model(silo), lambda: _server(silo)) if line]


def checked_id(client: str) -> str:
    """Raises ConfigError if an id cannot be the name of a folder."""
    try:
        return TypeAdapter(ClientId).validate_python(client)
    except ValidationError:
        raise ConfigError(
            "id: use letters, digits, '.', '_' and '-', at most 64, the first a letter or digit."
        ) from None


def _data(silo: SiloFile) -> str:
    private = read_private(silo.data, DataSettings(dialect=silo.dialect))
    if silo.labels:
        read_labels(silo.labels, [sample.id for sample in private.samples])
    return f"data: {len(private.samples)} samples, {len(private.unusable)} unusable records"


def _model(silo: SiloFile) -> str:
    return f"model: {silo.model.id}, digest {load_base(silo.model).digest[:16]}"


def _server(silo: SiloFile) -> str:
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
        return ", and nothing is encrypted"
    is_text = given.startswith("-----BEGIN")
    context = ssl.create_default_context(cadata=given if is_text else None, cafile=None if is_text else given)
    with contextlib.closing(context.wrap_socket(sock, server_hostname=host)):
        return ", and its certificate is good"
