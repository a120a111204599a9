"""The other end of a WebSocket, in memory."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlencode

from starlette.types import Message
from starlette.websockets import WebSocket

from services.gateway.operations.command import Caller


class Peer:
    """Takes messages, or takes so many and then no more until it is told to."""

    def __init__(self, takes: int = 1000, *, path: str = "/ws/monitor", **query: str) -> None:
        self.taken: list[Message] = []
        self._takes = takes
        self._goes_on = asyncio.Event()
        self._path = path
        self._query = query
        self._said: asyncio.Queue[Message] = asyncio.Queue()
        self._said.put_nowait({"type": "websocket.connect"})

    def websocket(self, *, may_see_secrets: bool = True) -> WebSocket:
        """Return the server's end."""
        caller = Caller("local", "192.0.2.9", may_see_secrets=may_see_secrets)
        scope = {
            "type": "websocket",
            "path": self._path,
            "query_string": urlencode(self._query).encode(),
            "headers": [],
            "client": ("192.0.2.9", 40000),
            "state": {"caller": caller},
        }
        return WebSocket(scope, self._said.get, self._send)

    def say(self, **message: Any) -> None:
        """Send a message."""
        self._said.put_nowait({"type": "websocket.receive", "text": json.dumps(message)})

    def go(self) -> None:
        """Break the connection."""
        self._said.put_nowait({"type": "websocket.disconnect", "code": 1000})

    def go_on(self) -> None:
        """Take all messages from now on."""
        self._goes_on.set()

    def heard(self, kind: str = "") -> list[Any]:
        """Return the messages that came, of one type or of all."""
        texts = [message["text"] for message in self.taken if message["type"] == "websocket.send"]
        return [each for each in map(json.loads, texts) if kind in {"", each["type"]}]

    async def _send(self, message: Message) -> None:
        if message["type"] == "websocket.send" and self._takes <= 0:
            await self._goes_on.wait()
        self._takes -= 1
        self.taken.append(message)
