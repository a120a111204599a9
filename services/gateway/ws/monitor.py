"""`/ws/monitor`: an update at once, then one at every interval.

Each viewer is served by a task of its own that holds one message at most. A viewer that does not
take its messages in time is let go; nobody else notices, and nothing piles up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from weakref import WeakValueDictionary

from starlette.websockets import WebSocket

from services.gateway.fleet.view import FleetView
from services.gateway.telemetry import Telemetry
from services.gateway.ws.connection import TRY_AGAIN_LATER, address, close, until_one_ends
from services.gateway.ws.frames import FramedMessage, send
from services.gateway.ws.monitor_messages import MonitorMessages
from services.gateway.ws.protocol import refuse_control_characters
from services.gateway.ws.send_timeout import SendTimeout
from shared.contracts.errors import FleetError

log = logging.getLogger(__name__)

STREAM = "monitor"  # its name in the metrics
SLOTS_PER_INTERVAL = 5

# Host and project, None: all.
Part = tuple[str | None, str | None]


@dataclass
class Monitor:
    """Serves the stream's viewers; `patience_s` is how long one may take for a message."""

    fleet: FleetView
    interval_s: float
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    telemetry: Telemetry
    patience_s: float = 10.0
    # A feed lives as long as somebody watches it.
    _feeds: WeakValueDictionary[Part, MonitorMessages] = field(default_factory=WeakValueDictionary)
    # Slots to come that somebody waits for: one timer for all of its viewers.
    _slots: dict[int, asyncio.Event] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._patience = SendTimeout(self.patience_s)

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one viewer until it leaves; `?host=` and `?project=` choose one each.

        Raises HostNotFound, InvalidInput and FleetViewNotReady before the hand-shake, so that the
        viewer gets an answer with a status.
        """
        asked = websocket.query_params
        host, project = asked.get("host"), asked.get("project")
        refuse_control_characters(host=host, project=project)
        feed = self._feed((host, project))
        first = feed.present(self._slot())
        await websocket.accept()
        with self.telemetry.watching(STREAM):
            await until_one_ends(self._stream(websocket, feed, first), _left(websocket))

    def _feed(self, part: Part) -> MonitorMessages:
        host, project = part
        feed = self._feeds.get(part)
        if feed is None:
            feed = self._feeds[part] = MonitorMessages(
                self.fleet, host, self.now, project, self.telemetry.boundary
            )
        return feed

    async def _stream(
        self, websocket: WebSocket, feed: MonitorMessages, message: FramedMessage
    ) -> None:
        slot = round(self.monotonic() / self._slot_s)
        try:
            while True:
                await send(websocket, message, self._patience)
                slot = max(slot + SLOTS_PER_INTERVAL, self._slot())
                await self._beginning_of(slot)
                message = feed.at(slot)
        except TimeoutError:
            self.telemetry.dropped(STREAM)
            log.warning("viewer too slow", extra={"address": address(websocket)})
            await close(websocket, TRY_AGAIN_LATER, "too slow")
        except FleetError as error:
            await close(websocket, TRY_AGAIN_LATER, error.code)

    async def _beginning_of(self, slot: int) -> None:
        begun = self._slots.get(slot)
        if begun is None:
            begun = self._slots[slot] = asyncio.Event()
            left_s = slot * self._slot_s - self.monotonic()
            asyncio.get_running_loop().call_later(left_s, self._begin, slot)
        await begun.wait()

    def _begin(self, slot: int) -> None:
        self._slots.pop(slot).set()

    @property
    def _slot_s(self) -> float:
        return self.interval_s / SLOTS_PER_INTERVAL

    def _slot(self) -> int:
        return int(self.monotonic() / self._slot_s)


async def _left(websocket: WebSocket) -> None:
    """Return when the viewer has gone; what it says until then is not for us."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass
