"""Who may speak with the server of a review: the one browser that has opened its link."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import parse_qs

HOST = "127.0.0.1"
# The page may load and reach nothing but this server, and no other page may frame it.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_REFUSED = b"This page is open to its owner only: open the link that clues review has printed. It works once."


class Guard:
    """An ASGI application around another: it answers 403 to every request and websocket but those of its own browser.

    The link's token is exchanged for a cookie at its first use. The header Host must name the server itself, so that
    no foreign name can be bound to it, and so must Origin, where there is one: other ports are foreign too.
    """

    def __init__(self, app: Any, port: int) -> None:
        self.app, self.token, self._session = app, secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        self._place, self._cookie, self._used = f"{HOST}:{port}", f"clues-review-{port}", False

    @property
    def link(self) -> str:
        return f"http://{self._place}/?token={self.token}"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif not self._is_own(scope):
            await _refuse(scope, send)
        elif self._has_session(scope):
            await self.app(scope, receive, _with_headers(send))
        elif self._exchange(scope):
            cookie = f"{self._cookie}={self._session}; HttpOnly; SameSite=Strict; Path=/"
            headers = [(b"location", b"/"), (b"set-cookie", cookie.encode()), *_HEADERS]
            await send({"type": "http.response.start", "status": 303, "headers": headers})
            await send({"type": "http.response.body"})
        else:
            await _refuse(scope, send)

    def _is_own(self, scope: Any) -> bool:
        hosts, origins = _values(scope, b"host"), _values(scope, b"origin")
        return hosts == [self._place] and origins in ([], [f"http://{self._place}"])

    def _has_session(self, scope: Any) -> bool:
        pairs = (pair.strip().partition("=") for line in _values(scope, b"cookie") for pair in line.split(";"))
        return any(name == self._cookie and _equal(value, self._session) for name, _, value in pairs)

    def _exchange(self, scope: Any) -> bool:
        """Whether the request brings the token for the first time."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        right = scope["type"] == "http" and scope["method"] == "GET" and scope["path"] == "/"
        if self._used or not right or not _equal(given, self.token):
            return False
        self._used = True
        return True


def _equal(given: str, secret: str) -> bool:
    return secrets.compare_digest(given.encode(), secret.encode())


def _values(scope: Any, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


async def _refuse(scope: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})  # before it was accepted, which is answered as 403
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *_HEADERS]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": _REFUSED})


def _with_headers(send: Any) -> Any:
    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *_HEADERS]
        await send(message)

    return sending
