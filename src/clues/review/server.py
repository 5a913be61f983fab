"""The server of a review: on loopback, behind a link that works once."""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Callable

from clues.errors import ConfigError
from clues.review.guard import HOST, Guard
from clues.review.session import Session

_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="4" fill="#24506e"/>'
    '<path d="M4 8.5l3 3 5.5-7" fill="none" stroke="#fff" stroke-width="2"/></svg>'
)


def check_installed() -> None:
    """Raises ConfigError if the packages of the extra `review` are missing."""
    if importlib.util.find_spec("nicegui") is None:
        raise ConfigError("clues review: needs the package nicegui; install it by: pip install 'nicegui>=3.10,<4'")


def serve(session: Session, *, port: int, ready: Callable[[str], None]) -> None:
    """Serve the page of a review until the process is interrupted.

    Args:
        port: 0 takes a free one. ready: is called with the link, which works once, when the server can be reached.

    Raises:
        ConfigError: the port is in use.
    """
    import uvicorn
    from fastapi import FastAPI
    from nicegui import ui

    from clues.review.page import build

    with listening(port) as listener:
        app = FastAPI(openapi_url=None)
        ui.page("/")(lambda: build(session))
        ui.run_with(
            app,
            title=f"Review of {session.owner.path.resolve().name}",
            favicon=_ICON,
            dark=None,  # as the browser wants it
            language="en-US",
            tailwind=False,
            show_welcome_message=False,
            reconnect_timeout=30,
        )
        guard = Guard(app, listener.getsockname()[1])
        config = uvicorn.Config(guard, log_level="warning", access_log=False, timeout_graceful_shutdown=2)
        ready(guard.link)
        try:
            uvicorn.Server(config).run(sockets=[listener])
        except KeyboardInterrupt:
            return


def listening(port: int) -> socket.socket:
    """A socket on loopback that queues connections already."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"--port {port}: cannot be used ({reason}); choose another, or leave it out.") from None
    listener.listen()
    return listener
