"""WebSocket messages as encoded frames: encoded once, and written unchanged to every client.

A server encodes a frame per message and client, behind a chain of awaits and copies; with many
clients that costs more than the network. Our server can write an encoded frame directly to a client
whose buffer is not full; otherwise, and with any other server, the text is sent as usual.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar, NamedTuple

from starlette.websockets import WebSocket
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from services.gateway.ws.timeouts import SendTimeout, WriteTimeout

# The ASGI extension that offers `write`; other servers have none.
EXTENSION = "lxdfleet.frames"
# Per message.
MOST_FRAGMENTS = 1024


class FramedMessage(NamedTuple):
    """A message's text, and its encoded frame, uncompressed."""

    text: str
    frame: bytes


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, with `write` for encoded frames."""

    # For the response to a malformed handshake; the app responds to all others.
    refusal_headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, *args: Any, send_s: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self.conn = _Protocol(self.refusal_headers, self.config.ws_max_size)
        # The streams bound their own sends; this bounds what they leave in the buffer.
        self._write_timeout = WriteTimeout(send_s)

    def check(self, now: float) -> None:
        """Abort a connection whose client reads nothing; called once a second."""
        if self._write_timeout.expired(self.transport, now, paused=not self.writable.is_set()):
            self.transport.abort()

    def handle_ping(self) -> None:
        """Answer, unless the client reads nothing: answers would pile up."""
        pongs = b"".join(self.conn.data_to_send())
        if self.writable.is_set():
            self.transport.write(pongs)

    def handle_cont(self, event: Frame) -> None:
        """Handle a fragment; their number is bounded, as empty ones have no size."""
        if len(self.frames) < MOST_FRAGMENTS:
            super().handle_cont(event)
        else:
            self._fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")

    def send_receive_event_to_app(self) -> None:
        """Pass on a message; uvicorn would log invalid UTF-8 with a traceback."""
        if self.curr_msg_data_type == "text" and not _is_utf8(b"".join(self.frames)):
            self._fail(CloseCode.INVALID_DATA, "invalid UTF-8")
        else:
            super().send_receive_event_to_app()

    def _fail(self, code: CloseCode, reason: str) -> None:
        self.frames = []
        self.conn.fail(code, reason)
        self.handle_parser_exception()

    async def run_asgi(self) -> None:
        """Serve the connection, with `write` in its scope."""
        self.scope["extensions"][EXTENSION] = {"write": self.write}
        await super().run_asgi()

    def write(self, frame: bytes) -> bool:
        """Write a frame and return True; return False if the buffer is full."""
        ready = self.writable.is_set() and not self.disconnected and self.conn.state is State.OPEN
        if ready:
            self.transport.write(frame)
        return ready


class _Protocol(ServerProtocol):
    """websockets' own protocol, with our headers on refusals, without compression."""

    def __init__(self, refusal_headers: Mapping[str, str], max_size: int) -> None:
        super().__init__(max_size=max_size, logger=logging.getLogger("uvicorn.error"))
        self._refusal_headers = refusal_headers

    def send_response(self, response: Response) -> None:
        """Send the response to a handshake."""
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            for name in self._refusal_headers.keys() - {key.lower() for key in response.headers}:
                response.headers[name] = self._refusal_headers[name]
        super().send_response(response)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def frame_message(encoded: bytes) -> FramedMessage:
    """Return a JSON text as a message."""
    return FramedMessage(encoded.decode(), Frame(Opcode.TEXT, encoded).serialize(mask=False))


async def send(websocket: WebSocket, message: FramedMessage, timeout: SendTimeout) -> None:
    """Send a message; raise TimeoutError if the client is too slow."""
    offered = websocket.scope.get("extensions", {}).get(EXTENSION)
    if offered is None or not offered["write"](message.frame):
        await timeout.bound(websocket.send_text(message.text))
