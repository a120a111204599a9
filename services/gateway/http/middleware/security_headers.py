"""What browsers are told with every answer, whoever makes it.

No page may show our answers in a frame, guess another type for them, or learn our addresses as a
referrer; and nothing is kept unless whoever made the answer says that it may be, for most answers
hold what only their caller may see.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Headers = list[tuple[bytes, bytes]]

_EVERYWHERE = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
_POLICY = b"content-security-policy"
_NO_PAGE = b"default-src 'none'; frame-ancestors 'none'"
# Swagger's start stands in the page itself, and it sets styles of its own.
_DOCS = (
    b"default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';"
    b" img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self';"
    b" frame-ancestors 'none'"
)
_TLS_AGAIN = (b"strict-transport-security", b"max-age=31536000")
_STARTS = frozenset({"http.response.start", "websocket.http.response.start"})


class SecurityHeadersMiddleware:
    """ASGI middleware, outside all that answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve; what the app says of these headers itself stays."""

        async def with_headers(message: Message) -> None:
            if message["type"] in _STARTS:
                headers = list(message.get("headers", ()))
                message["headers"] = headers + missing_headers(
                    headers, scope["path"], scope["scheme"]
                )
            await send(message)

        await self._app(scope, receive, with_headers)


def missing_headers(headers: Headers, path: str, scheme: str) -> Headers:
    """Return the headers that an answer at a path still needs."""
    there = {name.lower() for name, _ in headers}
    # Only files tell it. They may be kept, if it is asked each time whether they are still right.
    cache = b"no-cache" if b"last-modified" in there else b"no-store"
    policy = _DOCS if path.startswith("/docs") else _NO_PAGE
    wanted = [*_EVERYWHERE, (_POLICY, policy), (b"cache-control", cache)]
    if scheme in {"https", "wss"}:
        wanted.append(_TLS_AGAIN)
    return [header for header in wanted if header[0] not in there]
