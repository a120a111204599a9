"""The server's end of an HTTP connection: uvicorn's, with bounds on what comes and for how long.

The parser has none: it would collect a header of any length from anybody, and wait for its end for
ever. Times are looked at once a second for all connections, which costs each request nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.requests import HTTPConnection
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from services.gateway.http.errors import HttpError
from services.gateway.http.exception_handlers import answer
from services.gateway.http.middleware.security_headers import missing_headers
from services.gateway.http.prefix import without
from services.gateway.ws.timeouts import WriteTimeout


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What one connection may ask for.

    Bytes of a head, or between two pieces of a body; of an address (a WebSocket's header lines have
    the same bound); headers; requests sent ahead. Seconds for a head and for a body to arrive, for
    the next request to begin, and for an answer to be taken; `linger_s` is for the answer that
    refuses to arrive before the connection ends. `root_path` is that of the settings.
    """

    head_bytes: int = 64 * 1024
    line_bytes: int = 8000
    headers: int = 100
    pipelined: int = 16
    receive_s: float = 20.0
    idle_s: float = 5.0
    send_s: float = 20.0
    linger_s: float = 2.0
    root_path: str = ""


class RequestRefused(Exception):
    """Leaves the parser; why stands in the connection."""


class HttpConnection(HttpToolsProtocol):
    """Parses requests, and refuses what is beyond the limits."""

    def __init__(self, limits: HttpLimits, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._limits = limits
        self._room = limits.head_bytes
        # When what the peer has to send must be here; None: it is our turn.
        self._due: float | None = None
        self._begun = False
        self._head_ended = False
        self._refusal = HttpError("bad_request")
        self._refused = False
        self._writing = WriteTimeout(limits.send_s)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._due = self.loop.time() + self._limits.receive_s

    def data_received(self, data: bytes) -> None:
        """Parse what has come, no more at once than there is room for."""
        while data and not self._refused and self.transport.get_protocol() is self:
            piece, data = data[: self._room], data[self._room :]
            self._room -= len(piece)
            super().data_received(piece)
            if self._room <= 0:
                self._refuse(self._head_too_large())

    def check(self, now: float) -> None:
        """End the connection if its peer takes too long; to be called once a second."""
        if self._writing.expired(self.transport, now, paused=self.flow.write_paused):
            self.transport.abort()
        elif self._due is not None and now > self._due and not self.transport.is_closing():
            self._end_waiting()

    def _end_waiting(self) -> None:
        if self._refused:
            self.transport.abort()
        elif self._begun or self._room < self._limits.head_bytes:
            self._refuse(HttpError("request_timeout"))
        else:
            self.transport.close()

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._begun, self._head_ended = True, False
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the address; raise Refused for one that is too long."""
        super().on_url(url)
        if len(self.url) > self._limits.line_bytes:
            self._refusal = HttpError("uri_too_long", limit=self._limits.line_bytes)
            raise RequestRefused

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; raise Refused for one too many. A trailer is dropped.

        A proxy that looks at headers lets trailers through, and they would be headers here.
        """
        if self._head_ended:
            return
        if len(self.headers) >= self._limits.headers:
            self._refusal = self._head_too_large()
            raise RequestRefused
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to wait for the body, and to serve the request."""
        self._head_ended = True
        self._room = self._limits.head_bytes
        self._due = self.loop.time() + self._limits.receive_s
        super().on_headers_complete()
        if len(self.pipeline) > self._limits.pipelined:
            self.transport.abort()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._room = self._limits.head_bytes
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Stop waiting, unless the answer was sent already."""
        self._begun = False
        self._room = self._limits.head_bytes
        self._due = None
        super().on_message_complete()
        if self._cycle is not None and self._cycle.response_complete:
            self._wait_for_the_next()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request, if none is here."""
        waits = self._due is None and not self.pipeline
        super().on_response_complete()
        if waits:
            self._wait_for_the_next()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over; refuse what the WebSocket's parser would not read."""
        longest = max((len(name) + len(value) for name, value in self.headers), default=0)
        if longest > self._limits.line_bytes:
            self._refuse(self._head_too_large())
        else:
            super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser could not, or would not, read."""
        self._refuse(self._refusal)

    def _wait_for_the_next(self) -> None:
        self._due = self.loop.time() + self._limits.idle_s + self._limits.receive_s

    def _head_too_large(self) -> HttpError:
        return HttpError("head_too_large", limit=self._limits.head_bytes)

    def _refuse(self, error: HttpError) -> None:
        """Answer and end; what else comes is read for a moment and dropped.

        A connection that is closed with bytes unread is reset, and its last answer is lost.
        """
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        self._unset_keepalive_if_required()
        if not self._can_answer():
            self.transport.close()
            return
        if self._cycle is not None:
            # The app waits for the rest of a body.
            self._cycle.disconnected = True
            self._cycle.message_event.set()
        self._due = self.loop.time() + self._limits.linger_s
        self.transport.write(self._encoded(error))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def _can_answer(self) -> bool:
        """Whether what is sent next would be the answer to the request that is being read."""
        if self._cycle is None:
            return True
        if self._begun and self._head_ended:
            return not self.pipeline and not self._cycle.response_started
        return self._cycle.response_complete

    @property
    def _cycle(self) -> RequestResponseCycle | None:
        # uvicorn's own type leaves out that there is none before the first request.
        return self.cycle

    def _encoded(self, error: HttpError) -> bytes:
        """Return an answer as it is sent; it bypasses the app, for there is no request."""
        scope = self._scope_so_far()
        response = answer(HTTPConnection(scope), error)
        lines = [STATUS_LINE[response.status_code]]
        headers = [*self.server_state.default_headers, *response.raw_headers]
        headers += missing_headers(headers, scope["path"], scope["scheme"])
        for name, value in (*headers, (b"connection", b"close")):
            lines += [name, b": ", value, b"\r\n"]
        body = b"" if self.parser.get_method() == b"HEAD" else bytes(response.body)
        return b"".join([*lines, b"\r\n", body])

    def _scope_so_far(self) -> Scope:
        path = getattr(self, "url", b"").partition(b"?")[0].decode("latin-1")
        return {
            "type": "http",
            "app": self.app,
            "scheme": self.scheme,
            "server": self.server,
            "path": without(unquote(path), self._limits.root_path),
            "query_string": b"",
            "headers": [each for each in self.headers or [] if each[0] == b"accept-language"],
        }
