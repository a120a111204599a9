"""`/ws/stream`: the state of what a client subscribes to, then every change as it happens."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket

from services.gateway.fleet.view import FleetView
from services.gateway.telemetry import Telemetry
from services.gateway.ws import protocol
from services.gateway.ws.connection import TRY_AGAIN_LATER, address, close, until_one_ends
from services.gateway.ws.stream_connection import StreamConnection
from services.gateway.ws.timeouts import SendTimeout
from services.gateway.ws.topic_registry import ClientProfile, TopicLanguage, TopicRegistry

log = logging.getLogger(__name__)

STREAM = "stream"  # its name in the metrics


@dataclass(frozen=True, slots=True)
class StreamTimeouts:
    """Seconds between pings, and how long a client may take for a message."""

    ping_s: float = 15.0
    send_s: float = 10.0


@dataclass
class FleetStream:
    """Serves the stream; `language` returns the language of a connection."""

    fleet: FleetView
    topics: TopicRegistry
    language: Callable[[HTTPConnection], TopicLanguage]
    now: Callable[[], datetime]
    telemetry: Telemetry
    timeouts: StreamTimeouts = field(default_factory=StreamTimeouts)

    def __post_init__(self) -> None:
        self._send_timeout = SendTimeout(self.timeouts.send_s)

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one client until it disconnects.

        Raises InvalidInput for an invalid query, FleetViewNotReady and DatabaseUnavailable before
        the handshake, so that the client gets a status code.
        """
        request = protocol.parse_query(websocket.query_params)
        self.fleet.require_ready()
        profile = ClientProfile(websocket.state.caller.may_see_secrets, self.language(websocket))
        connection = StreamConnection(
            websocket, self.topics, profile, self.now, self._send_timeout, self.timeouts.ping_s
        )
        try:
            if request is not None:
                await connection.subscribe(request)
            await websocket.accept()
            with self.telemetry.track_client(STREAM):
                await until_one_ends(connection.receive(), connection.send())
        except TimeoutError:
            self.telemetry.count_dropped_client(STREAM)
            log.warning("client too slow", extra={"address": address(websocket)})
            await close(websocket, TRY_AGAIN_LATER, "too slow")
        finally:
            connection.close()
