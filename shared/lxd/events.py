"""LXD's lifecycle events, as they happen."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec
from pylxd import EventType
from ws4py.client import WebSocketBaseClient

from shared.lxd.client import LxdClient
from shared.lxd.decoding import UNREADABLE
from shared.lxd.models import LifecycleEvent
from shared.lxd.scope import LxdScope

log = logging.getLogger(__name__)

# An ordinary one has less than a KiB; that of a command that was run has the command.
MOST_EVENT_BYTES = 1 << 20


def _log(reason: str) -> None:
    log.warning("an event of lxd's cannot be read", extra={"reason": reason})


def listen(
    client: LxdClient,
    scope: LxdScope,
    opened: Callable[[], None],
    heard: Callable[[LifecycleEvent], None],
    unreadable: Callable[[str], None] = _log,
) -> None:
    """Call `opened` when LXD has begun to tell, `heard` for each event, until LXD goes away.

    Only events within the scope are heard. `unreadable` is called with the reason for one that
    cannot be read: anything may have changed. Raises LxdUnavailable when LXD does not begin, or
    breaks off; returns when it ends. None of the functions may wait for anything.
    """

    def heard_here(event: LifecycleEvent) -> None:
        if scope.covers(event.project, event.location):
            heard(event)

    with client.connection() as connection:
        socket = connection.events(_reader(heard_here, unreadable), {EventType.Lifecycle})
        socket.resource += "&all-projects=true"
        socket.connect()
        opened()
        socket.run()


def _reader(
    heard: Callable[[LifecycleEvent], None], unreadable: Callable[[str], None]
) -> type[WebSocketBaseClient]:
    """Return a WebSocket client for pylxd, which goes on after every event but one too long."""

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
                event = msgspec.json.decode(message.data, type=LifecycleEvent)
            except UNREADABLE as exc:
                unreadable(str(exc))
            else:
                heard(event)

    return Reader
