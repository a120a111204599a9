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
    on_open: Callable[[], None],
    on_event: Callable[[LifecycleEvent], None],
    on_unreadable: Callable[[str], None] = _log,
) -> None:
    """Call `on_open` once LXD sends events, and `on_event` for each, until LXD goes away.

    Events of other projects and cluster members are skipped. `on_unreadable` is called with the
    reason for an event that cannot be read: anything may have changed. Raises LxdUnavailable if LXD
    sends none, or the connection breaks; returns when LXD ends it. None of the functions may block.
    """

    def on_own_event(event: LifecycleEvent) -> None:
        if scope.covers(event.project, event.location):
            on_event(event)

    with client.connection() as connection:
        socket = connection.events(_reader(on_own_event, on_unreadable), {EventType.Lifecycle})
        socket.resource += "&all-projects=true"
        socket.connect()
        on_open()
        socket.run()


def _reader(
    on_event: Callable[[LifecycleEvent], None], on_unreadable: Callable[[str], None]
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
                on_unreadable(f"more than {MOST_EVENT_BYTES} bytes")
                return False
            return going_on

        def received_message(self, message: Any) -> None:
            try:
                event = msgspec.json.decode(message.data, type=LifecycleEvent)
            except UNREADABLE as exc:
                on_unreadable(str(exc))
            else:
                on_event(event)

    return Reader
