"""Reading LXD's event socket: what pylxd's `Client.events` takes as its WebSocket client."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from ws4py.client import WebSocketBaseClient

log = logging.getLogger(__name__)

T = TypeVar("T", bound=msgspec.Struct)

# An ordinary one has less than a KiB; that of a command that was run has the command.
MOST_EVENT_BYTES = 1 << 20


def all_projects(socket: WebSocketBaseClient) -> WebSocketBaseClient:
    """Return a client of pylxd's that was told which events it wants, made to hear all projects."""
    socket.resource += "&all-projects=true"
    return socket


def _log(reason: str) -> None:
    log.warning("an event of lxd's cannot be read", extra={"reason": reason})


def reader(
    kind: type[T], heard: Callable[[T], None], unreadable: Callable[[str], None] = _log
) -> type[WebSocketBaseClient]:
    """Return a client that calls `heard` with each event, and goes on after every one.

    `unreadable` is called with the reason where an event is none of this kind, or too long: then it
    ends.
    """

    class Reader(WebSocketBaseClient):  # type: ignore[misc]
        def __init__(self, url: str, ssl_options: object) -> None:
            # LXD takes an Origin for that of a browser's page and refuses it.
            super().__init__(url, ssl_options=ssl_options, exclude_headers=["origin"])

        def process(self, data: bytes) -> bool:
            going_on: bool = super().process(data)
            begun = self.stream.message.data if self.stream.message else None
            # That a frame is so long shows before any of it is read.
            if len(begun or b"") + self.reading_buffer_size > MOST_EVENT_BYTES:
                unreadable(f"more than {MOST_EVENT_BYTES} bytes")
                return False
            return going_on

        def received_message(self, message: Any) -> None:
            try:
                event = msgspec.json.decode(message.data, type=kind)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
                unreadable(str(exc))
            else:
                heard(event)

    return Reader
