"""Each request's correlation id and its one line in the log.

The id comes with `X-Request-Id` if it is fit to be logged, else it is made here; it goes back in
the same header. The line has the path without its query, where a ticket may stand. A probe that
finds all well comes every few seconds and is told at the level `debug` only.
"""

from __future__ import annotations

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.platform.logs import correlation_id

log = logging.getLogger(__name__)

HEADER = "x-request-id"
SWITCHED = 101
OK = 200
PROBES = frozenset({"/livez", "/readyz", "/healthz"})
_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestLogMiddleware:
    """ASGI middleware, the outermost, so that every answer and every line carries the id."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request under its id and log how it ended."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        with_id = correlation_id.set(_id(Headers(scope=scope)))
        request = _Logged(scope, send)
        try:
            await self._app(scope, receive, request.send)
        finally:
            request.log()
            correlation_id.reset(with_id)


class _Logged:
    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._started = time.perf_counter()
        self._status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "websocket.accept":
            self._status = SWITCHED
        if "status" in message:
            self._status = message["status"]
            MutableHeaders(scope=message)[HEADER] = correlation_id.get()
        await self._send(message)

    def log(self) -> None:
        fields = {
            "method": self._scope.get("method", "WEBSOCKET"),
            "path": self._scope["path"],
            "status": self._status,
            "address": self._address(),
            "took_ms": round(1000 * (time.perf_counter() - self._started), 2),
        }
        log.log(self._level(), "request", extra=fields)

    def _address(self) -> str:
        client = self._scope.get("client")
        return client[0] if client else ""

    def _level(self) -> int:
        well = self._scope["path"] in PROBES and self._status == OK
        return logging.DEBUG if well else logging.INFO


def _id(headers: Headers) -> str:
    given = headers.get(HEADER, "")
    return given if _SANE.fullmatch(given) else uuid.uuid4().hex
