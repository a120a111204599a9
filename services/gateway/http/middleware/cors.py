"""CORS for the named origins; Starlette's, but for its answer to a refused preflight."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateway.http.errors import HttpError
from services.gateway.http.exception_handlers import answer

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
EXPOSED = (
    "ETag",
    "Location",
    "Retry-After",
    "X-Fleet-Version",
    "X-Next-Cursor",
    "X-Operation-Id",
    "X-Request-Id",
)


class CorsMiddleware(CORSMiddleware):
    """Lets pages of the allowed origins read our answers; refuses others in JSON."""

    def __init__(self, app: ASGIApp, allowed_origins: tuple[str, ...]) -> None:
        super().__init__(
            app,
            allow_origins=allowed_origins,
            allow_methods=METHODS,
            allow_headers=("*",),
            expose_headers=EXPOSED,
            allow_private_network=True,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request; every answer of ours that says no is JSON."""
        try:
            await super().__call__(scope, receive, send)
        except HttpError as refused:
            await answer(HTTPConnection(scope), refused)(scope, receive, send)

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer a preflight; raise HttpError for one of another origin."""
        allowed = super().preflight_response(request_headers)
        if allowed.status_code >= 400:
            raise HttpError("origin_not_allowed", origin=request_headers["origin"])
        return allowed
