"""`/ws/monitor`: an update at once, then one per interval.

Each client is served by its own task, which holds one message at most. A client that does not read
its messages in time is disconnected, without an effect on the others.
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
from services.gateway.ws.timeouts import SendTimeout
from shared.contracts.errors import FleetError

log = logging.getLogger(__name__)

STREAM = "monitor"  # its name in the metrics
SLOTS_PER_INTERVAL = 5

# Host and project, None: all.
Part = tuple[str | None, str | None]


@dataclass
class Monitor:
    """Serves the monitor; `send_timeout_s` is how long a client may take for a message."""

    fleet: FleetView
    interval_s: float
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    telemetry: Telemetry
    send_timeout_s: float = 10.0
    # Dropped once no client uses it.
    _streams: WeakValueDictionary[Part, MonitorMessages] = field(
        default_factory=WeakValueDictionary
    )
    # Future slots with waiting clients: one timer for all of them.
    _slots: dict[int, asyncio.Event] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._send_timeout = SendTimeout(self.send_timeout_s)

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one client until it disconnects; `?host=` and `?project=` filter.

        Raises HostNotFound, InvalidInput and FleetViewNotReady before the handshake, so that the
        client gets a status code.
        """
        query = websocket.query_params
        host, project = query.get("host"), query.get("project")
        refuse_control_characters(host=host, project=project)
        messages = self._messages((host, project))
        first = messages.latest(self._slot())
        await websocket.accept()
        with self.telemetry.track_client(STREAM):
            await until_one_ends(
                self._stream(websocket, messages, first), _wait_for_disconnect(websocket)
            )

    def _messages(self, part: Part) -> MonitorMessages:
        host, project = part
        messages = self._streams.get(part)
        if messages is None:
            messages = self._streams[part] = MonitorMessages(
                self.fleet, host, self.now, project, self.telemetry.boundary
            )
        return messages

    async def _stream(
        self, websocket: WebSocket, messages: MonitorMessages, message: FramedMessage
    ) -> None:
        slot = round(self.monotonic() / self._slot_s)
        try:
            while True:
                await send(websocket, message, self._send_timeout)
                slot = max(slot + SLOTS_PER_INTERVAL, self._slot())
                await self._start_of(slot)
                message = messages.at(slot)
        except TimeoutError:
            self.telemetry.count_dropped_client(STREAM)
            log.warning("client too slow", extra={"address": address(websocket)})
            await close(websocket, TRY_AGAIN_LATER, "too slow")
        except FleetError as error:
            await close(websocket, TRY_AGAIN_LATER, error.code)

    async def _start_of(self, slot: int) -> None:
        started = self._slots.get(slot)
        if started is None:
            started = self._slots[slot] = asyncio.Event()
            left_s = slot * self._slot_s - self.monotonic()
            asyncio.get_running_loop().call_later(left_s, self._start, slot)
        await started.wait()

    def _start(self, slot: int) -> None:
        self._slots.pop(slot).set()

    @property
    def _slot_s(self) -> float:
        return self.interval_s / SLOTS_PER_INTERVAL

    def _slot(self) -> int:
        return int(self.monotonic() / self._slot_s)


async def _wait_for_disconnect(websocket: WebSocket) -> None:
    """Wait until the client disconnects, ignoring its messages."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass
