"""`/ws/stream`: the state of what a viewer chooses, then every change of it as it happens."""

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
from services.gateway.ws.send_timeout import SendTimeout
from services.gateway.ws.stream_connection import StreamConnection
from services.gateway.ws.topic_registry import ClientProfile, TopicLanguage, TopicRegistry

log = logging.getLogger(__name__)

STREAM = "stream"  # its name in the metrics


@dataclass(frozen=True, slots=True)
class StreamTimeouts:
    """Seconds between pings, and how many a viewer may take for one message."""

    ping_s: float = 15.0
    patience_s: float = 10.0


@dataclass
class FleetStream:
    """Serves the stream's viewers; `words` speaks the language of whoever is connected."""

    fleet: FleetView
    topics: TopicRegistry
    words: Callable[[HTTPConnection], TopicLanguage]
    now: Callable[[], datetime]
    telemetry: Telemetry
    pace: StreamTimeouts = field(default_factory=StreamTimeouts)

    def __post_init__(self) -> None:
        self._patience = SendTimeout(self.pace.patience_s)

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one viewer until it leaves.

        Raises InvalidInput for a wrong address, FleetViewNotReady and DatabaseUnavailable before
        the hand-shake, so that the viewer gets an answer with a status.
        """
        asked = protocol.parse_query(websocket.query_params)
        self.fleet.hosts()
        audience = ClientProfile(websocket.state.caller.may_see_secrets, self.words(websocket))
        viewer = StreamConnection(
            websocket, self.topics, audience, self.now, self._patience, self.pace.ping_s
        )
        try:
            if asked is not None:
                await viewer.subscribe(asked)
            await websocket.accept()
            with self.telemetry.watching(STREAM):
                await until_one_ends(viewer.listen(), viewer.speak())
        except TimeoutError:
            self.telemetry.dropped(STREAM)
            log.warning("viewer too slow", extra={"address": address(websocket)})
            await close(websocket, TRY_AGAIN_LATER, "too slow")
        finally:
            viewer.leave()
