"""The path under which a reverse proxy has put the gateway, as `/lxd` of `https://panel/lxd/`.

Inside, paths are as if there were none: it is taken off what comes, where the proxy has not done
that, and put before every address that is told.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Under this name a scope's state holds it.
PREFIX = "prefix"
_STARTS = frozenset({"http.response.start", "websocket.http.response.start"})


class Prefix:
    """ASGI middleware: knows the prefix of a request, which the proxy told or the settings say.

    Only that of the settings is ever taken off a path: nobody can lead a request elsewhere by a
    header.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request; a `Location` that is a path of ours is told with the prefix."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        prefix = scope.setdefault("state", {}).setdefault(PREFIX, self._root_path)
        scope["path"] = without(scope["path"], self._root_path)

        async def with_prefix(message: Message) -> None:
            if prefix and message["type"] in _STARTS:
                headers = MutableHeaders(scope=message)
                if headers.get("location", "").startswith("/"):
                    headers["location"] = prefix + headers["location"]
            await send(message)

        await self._app(scope, receive, with_prefix)


def prefix_of(connection: HTTPConnection) -> str:
    """Return what stands before each of our paths where this caller is."""
    prefix: str = connection.scope.get("state", {}).get(PREFIX, "")
    return prefix


def without(path: str, prefix: str) -> str:
    """Return a path without the prefix, if it begins with it."""
    if path == prefix:
        return "/"
    return path.removeprefix(prefix) if path.startswith(f"{prefix}/") else path
