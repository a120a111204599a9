"""The outermost net of a request: what nobody foresaw is logged, and told without internals."""

from __future__ import annotations

import logging

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.http.errors import HttpError
from services.gateway.http.exception_handlers import answer

log = logging.getLogger(__name__)


class ExceptionMiddleware:
    """ASGI middleware: answers what the middleware inside it raises, and every bug with 500."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request; an answer that has begun is left as it is."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except HttpError as error:
            await _answer(error, scope, receive, send)
        except Exception:
            log.exception("request failed", extra={"path": scope["path"]})
            if not begun:
                await _answer(HttpError("internal_error"), scope, receive, send)


async def _answer(error: HttpError, scope: Scope, receive: Receive, send: Send) -> None:
    await answer(HTTPConnection(scope), error)(scope, receive, send)
