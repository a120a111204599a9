"""One message as the bytes of its frame: made once, and written as it is to every viewer.

A server makes a frame of each message for each viewer, behind a chain of awaits and copies. For a
crowd that costs more than the network does. Our server lets a frame be written at once to a
viewer that takes its messages; any other viewer, and any other server, gets the text as usual.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from starlette.websockets import WebSocket
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from services.gateway.ws.patience import Patience
from services.gateway.ws.write_timeout import WriteTimeout

# Under this name a connection's scope offers its `write`; other servers offer none.
EXTENSION = "lxdfleet.frames"
# Beyond what the streams allow for a message: this is for what they have given up.
SEND_S = 20.0


class Framed(NamedTuple):
    """A message's text, and its frame as every viewer may get it: not compressed."""

    text: str
    frame: bytes


class Frames(WebSocketsSansIOProtocol):
    """uvicorn's end of a WebSocket, which also takes frames."""

    def __init__(self, *args: Any, **uvicorns: Any) -> None:
        super().__init__(*args, **uvicorns)
        self._writing = WriteTimeout(SEND_S)

    def check(self, now: float) -> None:
        """End a connection whose peer reads nothing; to be called once a second."""
        if self._writing.expired(self.transport, now, paused=not self.writable.is_set()):
            self.transport.abort()

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


def framed(encoded: bytes) -> Framed:
    """Return the message of a JSON text."""
    return Framed(encoded.decode(), Frame(Opcode.TEXT, encoded).serialize(mask=False))


async def send(websocket: WebSocket, message: Framed, patience: Patience) -> None:
    """Send a message to an accepted viewer; raise TimeoutError for one that is too slow."""
    offered = websocket.scope.get("extensions", {}).get(EXTENSION)
    if offered is None or not offered["write"](message.frame):
        await patience.bound(websocket.send_text(message.text))
