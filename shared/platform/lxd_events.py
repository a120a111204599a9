"""Reading LXD's event socket: what pylxd's `Client.events` takes as its WebSocket client."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from ws4py.client import WebSocketBaseClient

log = logging.getLogger(__name__)

T = TypeVar("T", bound=msgspec.Struct)


def all_projects(socket: WebSocketBaseClient) -> WebSocketBaseClient:
    """Return a client of pylxd's that was told which events it wants, made to hear all projects."""
    socket.resource += "&all-projects=true"
    return socket


def reader(kind: type[T], heard: Callable[[T], None]) -> type[WebSocketBaseClient]:
    """Return a client that calls `heard` with each event; what is none of this kind is logged."""

    class Reader(WebSocketBaseClient):  # type: ignore[misc]
        def __init__(self, url: str, ssl_options: object) -> None:
            # LXD takes an Origin for that of a browser's page and refuses it.
            super().__init__(url, ssl_options=ssl_options, exclude_headers=["origin"])

        def received_message(self, message: Any) -> None:
            try:
                heard(msgspec.json.decode(message.data, type=kind))
            except msgspec.MsgspecError as exc:
                log.warning("an event of lxd's cannot be read", extra={"reason": str(exc)})

    return Reader
