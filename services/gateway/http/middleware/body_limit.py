"""What a request body may be: JSON, and at most 1 MiB, however it is sent.

The body is read here as a whole, because only that tells a chunked body's size, and because some
clients name a content type with a body of no length, which is no body.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.http.errors import HttpError
from services.gateway.http.middleware.authentication import READING

LARGEST = 2**20
# Digits of a length that a number can be made of at no cost.
LONGEST_NUMBER = 18


class BodyLimitMiddleware:
    """ASGI middleware: hands on a body that is fit to be read, and raises for any other."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the body of a request that may change something."""
        if scope["type"] != "http" or scope["method"] in READING:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        body = await _read(headers, receive)
        if body is None:
            return
        if body and not _is_json(headers.get("content-type", "")):
            raise HttpError("media_type_not_supported")
        await self._app(scope, _replay(body, receive), send)


async def _read(headers: Headers, receive: Receive) -> bytes | None:
    """Return the whole body; None when the caller left before its end."""
    _check(_length(headers.get("content-length", "0")))
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        _check(len(body))
        more = message.get("more_body", False)
    return body


def _length(given: str) -> int:
    """Return the length that a header gives; `int` would take signs, underscores, other digits."""
    if not (given.isascii() and given.isdecimal() and len(given) <= LONGEST_NUMBER):
        raise HttpError("bad_request", headers={"connection": "close"})
    return int(given)


def _check(size: int) -> None:
    if size > LARGEST:
        # What is still to come is not read, so the connection is of no further use.
        raise HttpError("body_too_large", headers={"connection": "close"}, limit=LARGEST)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body once, and then what really comes."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (
        kind.startswith("application/") and kind.endswith("+json")
    )
