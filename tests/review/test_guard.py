from __future__ import annotations

import asyncio

import pytest

from clues.review.guard import Guard

PORT = 4321
OWN = (b"host", b"127.0.0.1:4321")


async def _app(scope, receive, send):
    await send({"type": "http.response.start" if scope["type"] == "http" else "websocket.accept", "status": 200})


@pytest.fixture
def guard():
    return Guard(_app, PORT)


def ask(guard, *headers, path="/", query="", kind="http"):
    """The first message of the answer, with its headers as a dictionary."""
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": kind, "method": "GET", "path": path, "query_string": query.encode(), "headers": list(headers)}
    asyncio.run(guard(scope, None, send))
    return sent[0] | {"headers": dict(sent[0].get("headers", []))}


def entered(guard):
    """The cookie that the link's first use gives."""
    answer = ask(guard, OWN, query=f"token={guard.token}")
    assert answer["status"] == 303
    cookie = answer["headers"][b"set-cookie"]
    assert b"HttpOnly" in cookie and b"SameSite=Strict" in cookie
    return b"cookie", cookie.split(b";")[0]


def test_without_the_token_nothing_is_answered(guard):
    for path in ("/", "/_nicegui/static/x.js", "/_nicegui_ws/socket.io/", "/favicon.ico"):
        for query in ("", "token=", "token=wrong", "token=%00%ff"):
            assert ask(guard, OWN, path=path, query=query)["status"] == 403
    assert ask(guard, OWN, kind="websocket")["type"] == "websocket.close"


def test_the_token_works_once_and_its_cookie_from_then_on(guard):
    cookie = entered(guard)
    assert ask(guard, OWN, query=f"token={guard.token}")["status"] == 403
    for _ in range(2):
        answer = ask(guard, OWN, (b"cookie", b"other=1; " + cookie[1]), path="/anything")
        assert answer["status"] == 200
        assert b"frame-ancestors 'none'" in answer["headers"][b"content-security-policy"]
    assert ask(guard, OWN, cookie, kind="websocket")["type"] == "websocket.accept"
    for wrong in (
        b"clues-review-4321=x",
        b"clues-review-4321=",
        b"=;;;",
        b"clues-review-1=" + cookie[1].split(b"=")[1],
    ):
        assert ask(guard, OWN, (b"cookie", wrong))["status"] == 403


def test_the_token_counts_at_the_front_door_only(guard):
    assert ask(guard, OWN, path="/other", query=f"token={guard.token}")["status"] == 403
    assert ask(guard, OWN, kind="websocket", query=f"token={guard.token}")["type"] == "websocket.close"
    entered(guard)


def test_foreign_hosts_and_origins_are_refused_even_with_the_cookie(guard):
    for host in (b"evil.example:4321", b"localhost:4321", b"127.0.0.1", b"127.0.0.1:1", b"127.0.0.1:4321.evil.example"):
        assert ask(guard, (b"host", host), query=f"token={guard.token}")["status"] == 403
    cookie = entered(guard)
    assert ask(guard, (b"host", b"evil.example"), cookie)["status"] == 403
    assert ask(guard, cookie)["status"] == 403
    assert ask(guard, OWN, (b"host", b"evil.example"), cookie)["status"] == 403
    for origin in (b"http://evil.example", b"null", b"http://127.0.0.1:9", b"https://127.0.0.1:4321"):
        assert ask(guard, OWN, cookie, (b"origin", origin), kind="websocket")["type"] == "websocket.close"
    assert ask(guard, OWN, cookie, (b"origin", b"http://127.0.0.1:4321"))["status"] == 200
