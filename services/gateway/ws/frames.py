"""One message as the bytes of its frame: made once, and written as it is to every viewer.

A server makes a frame of each message for each viewer, behind a chain of awaits and copies. For a
crowd that costs more than the network does. Our server lets a frame be written at once to a
viewer that takes its messages; any other viewer, and any other server, gets the text as usual.
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

from services.gateway.ws.send_timeout import SendTimeout
from services.gateway.ws.write_timeout import WriteTimeout

# Under this name a connection's scope offers its `write`; other servers offer none.
EXTENSION = "lxdfleet.frames"
# Of one message.
MOST_FRAGMENTS = 1024


class FramedMessage(NamedTuple):
    """A message's text, and its frame as every viewer may get it: not compressed."""

    text: str
    frame: bytes


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's end of a WebSocket, which also takes frames."""

    # Of the answer to a hand-shake that cannot be read; the app answers all others.
    refusal_headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, *args: Any, send_s: float, **uvicorns: Any) -> None:
        super().__init__(*args, **uvicorns)
        self.conn = _Protocol(self.refusal_headers, self.config.ws_max_size)
        # Beyond what the streams allow for a message: this is for what they have given up.
        self._writing = WriteTimeout(send_s)

    def check(self, now: float) -> None:
        """End a connection whose peer reads nothing; to be called once a second."""
        if self._writing.expired(self.transport, now, paused=not self.writable.is_set()):
            self.transport.abort()

    def handle_ping(self) -> None:
        """Answer, but not a peer that reads no answers: they would pile up."""
        pongs = b"".join(self.conn.data_to_send())
        if self.writable.is_set():
            self.transport.write(pongs)

    def handle_cont(self, event: Frame) -> None:
        """Take a fragment. Empty ones have no size that would bound them."""
        if len(self.frames) < MOST_FRAGMENTS:
            super().handle_cont(event)
        else:
            self._fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")

    def send_receive_event_to_app(self) -> None:
        """Hand over a message; uvicorn would log each one that is no UTF-8 with a traceback."""
        if self.curr_msg_data_type == "text" and not _is_utf8(b"".join(self.frames)):
            self._fail(CloseCode.INVALID_DATA, "no UTF-8")
        else:
            super().send_receive_event_to_app()

    def _fail(self, code: CloseCode, reason: str) -> None:
        self.frames = []
        self.conn.fail(code, reason)
        self.handle_parser_exception()

    async def run_asgi(self) -> None:
        """Serve the connection; its scope offers `write`."""
        self.scope["extensions"][EXTENSION] = {"write": self.write}
        await super().run_asgi()

    def write(self, frame: bytes) -> bool:
        """Write a frame and return True; False: what was written before is still on its way."""
        ready = self.writable.is_set() and not self.disconnected and self.conn.state is State.OPEN
        if ready:
            self.transport.write(frame)
        return ready


class _Protocol(ServerProtocol):
    """websockets' own, whose refusals carry our headers. Nothing is compressed."""

    def __init__(self, refusal_headers: Mapping[str, str], max_size: int) -> None:
        super().__init__(max_size=max_size, logger=logging.getLogger("uvicorn.error"))
        self._refusal_headers = refusal_headers

    def send_response(self, response: Response) -> None:
        """Send the answer to a hand-shake."""
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
    """Return the message of a JSON text."""
    return FramedMessage(encoded.decode(), Frame(Opcode.TEXT, encoded).serialize(mask=False))


async def send(websocket: WebSocket, message: FramedMessage, patience: SendTimeout) -> None:
    """Send a message to an accepted viewer; raise TimeoutError for one that is too slow."""
    offered = websocket.scope.get("extensions", {}).get(EXTENSION)
    if offered is None or not offered["write"](message.frame):
        await patience.bound(websocket.send_text(message.text))
