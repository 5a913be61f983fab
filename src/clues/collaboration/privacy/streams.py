"""A stream of cryptographic random bytes from a key: ChaCha20 (RFC 8439)."""

from __future__ import annotations

import os
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

KEY_BYTES = 32


def stream(key: bytes) -> Callable[[int], bytes]:
    """A function that returns the next bytes of the key's stream. A key must serve for one stream only."""
    encryptor = Cipher(algorithms.ChaCha20(key, nonce=bytes(16)), mode=None).encryptor()
    return lambda count: encryptor.update(bytes(count))


def fresh_stream() -> Callable[[int], bytes]:
    """A stream whose key is the operating system's entropy, which no seed determines."""
    return stream(os.urandom(KEY_BYTES))
