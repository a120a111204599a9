"""How many WebSockets may be open at once, in all and from one caller's address.

Each has a task, a position in a stream and room for a message, so it costs more than a connection.
Here, unlike at the listeners, the address is the client's and not its proxy's.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateway.http.errors import RETRY_AFTER_S, HttpError
from services.gateway.http.listener import ConnectionLimit


class WebSocketLimitMiddleware:
    """ASGI middleware: refuses a WebSocket that is too many, before its hand-shake."""

    def __init__(self, app: ASGIApp, limit: ConnectionLimit) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve; raise HttpError `too_many_connections`."""
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        client = scope.get("client")
        key = self._limit.enter(client[0] if client else "")
        if key is None:
            raise HttpError("too_many_connections", headers={"retry-after": RETRY_AFTER_S})
        try:
            await self._app(scope, receive, send)
        finally:
            self._limit.leave(key)
