"""The clients' mask keys: X25519 pairs (RFC 7748), whose public keys the silos exchange and pin in their files."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from clues.errors import ConfigError, ProtocolError


def write_key(path: Path) -> str:
    """Make a private key in a file that only its owner can read, and return the public key.

    Raises:
        ConfigError: the file exists; a key that others have pinned is not overwritten.
    """
    key = X25519PrivateKey.generate()
    content = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(f"{path}: exists; use that key, or move it away and give all others the new one.") from None
    with os.fdopen(file, "wb") as stream:
        stream.write(content)
    return public_text(key)


def read_key(path: Path) -> X25519PrivateKey:
    """Raises ConfigError if the file holds no private X25519 key."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: no mask key can be read ({type(error).__name__}); make one.") from None
    if not isinstance(key, X25519PrivateKey):
        raise ConfigError(f"{path}: is a key of another kind; make an X25519 key.")
    return key


def public_text(key: X25519PrivateKey) -> str:
    """The public key as base64 of its 32 bytes."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def public_key(text: str, client: str) -> X25519PublicKey:
    """Raises ConfigError if the text is not a public key."""
    try:
        return X25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error):
        raise ConfigError(f"the public key of {client} is not 32 bytes in base64; ask {client} for it.") from None


def check_keys(offered: Mapping[str, str], *, pinned: Mapping[str, str], clients: Iterable[str]) -> None:
    """Compare the keys that the coordinator passes on with those pinned in the silo's own file.

    Without pins, the coordinator could offer keys of its own to each client and remove the masks.

    Args:
        pinned: by client, the client itself included. clients: those of the sum.

    Raises:
        ProtocolError: a key is not pinned, not offered, or differs.
    """
    for client in clients:
        if client not in pinned:
            raise ProtocolError(f"the key of {client} is not pinned; ask {client} for its public key and list it.")
        if offered.get(client) != pinned[client]:
            raise ProtocolError(
                f"the coordinator offers another key for {client} than the one pinned; ask {client} which is right."
            )
