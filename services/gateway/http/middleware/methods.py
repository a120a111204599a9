"""What every path answers beside the methods of its routes: HEAD, OPTIONS, and who asks for others.

A path's methods may stand in several routes. Starlette knows only the first of them when it
refuses a method, and knows no HEAD of what FastAPI serves.
"""

from __future__ import annotations

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.http.errors import HttpError


class HeadMiddleware:
    """ASGI middleware: answers HEAD as GET, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request; all inside takes HEAD for GET."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET"}, receive, without_body)


class OptionsMiddleware:
    """ASGI middleware, the innermost: answers OPTIONS with what the path allows."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request; raise HttpError `route_not_found` for what nothing is at."""
        if scope["type"] != "http" or scope["method"] != "OPTIONS":
            await self._app(scope, receive, send)
            return
        methods = allowed(HTTPConnection(scope))
        if not methods:
            raise HttpError("route_not_found", path=scope["path"])
        await Response(status_code=204, headers={"allow": methods})(scope, receive, send)


def allowed(connection: HTTPConnection) -> str:
    """Return the methods of the path as `Allow` lists them; empty: there is nothing at it."""
    # Routing leaves its marks in a request's own scope; another route would be led astray by them.
    asked = {"type": "http", "path": connection.scope["path"], "method": ""}
    methods: set[str] = set()
    for route in connection.app.router.routes:
        if route.matches(asked)[0] is not Match.NONE:
            # A folder of files has no methods of its own.
            methods |= getattr(route, "methods", None) or {"GET"}
    if "GET" in methods:
        methods.add("HEAD")
    return ", ".join(sorted({*methods, "OPTIONS"})) if methods else ""
