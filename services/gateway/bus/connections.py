"""The gateway's connections to the broker, kept for as long as the gateway lives.

One for calls and their answers, one for everything else that hosts publish (`EventConsumers` adds
one for the outcomes of operations); each is made anew soon after it is lost, with everything on it.
So whatever happens where hosts write as they like, calls are made and answered. Nothing is
published on the others: with a broker that takes no messages (see `Alarm`) what comes in can still
be acknowledged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from aio_pika import Message
from aio_pika.abc import AbstractConnection
from amqp.exceptions import AMQPError
from kombu.exceptions import KombuError

from services.gateway.bus import connection as connections
from services.gateway.bus.calls import Calls
from services.gateway.bus.connection import Alarm
from services.gateway.bus.dead_letters import DeadLetters
from services.gateway.bus.event_consumers import EventConsumers
from shared.platform.bus import topology
from shared.platform.run.backoff import Backoff

log = logging.getLogger(__name__)

# Short, for there are few gateways, and everybody waits for them.
RETRY_S, MOST_RETRY_S = 0.25, 0.5
DECLARE_TIMEOUT_S = 5.0
# A thousand hosts' queues take some five seconds, thrice that where the broker has none yet.
OPEN_TIMEOUT_S = 60.0
# How soon the queues of a forgotten host go, and the broker's alarm shows.
CHECK_S = 2.0
# Under this key nobody listens. RabbitMQ tells of an alarm only who publishes.
_PROBE_KEY = "gateway.probe"

_LOST = (*connections.CONNECTION_ERRORS, AMQPError, KombuError)


class BusConnections:
    """Connects `calls`, `incoming` and `dead_letters`.

    `on_connected` is called each time that events can be heard; `exchanges` returns those of the
    known hosts, by host.
    """

    def __init__(
        self,
        amqp_uri: str,
        calls: Calls,
        incoming: EventConsumers,
        dead_letters: DeadLetters,
        alarm: Alarm,
        on_connected: Callable[[], None],
        exchanges: Callable[[], Mapping[str, str]],
    ) -> None:
        self._uri = amqp_uri
        self._calls = calls
        self._incoming = incoming
        self._dead_letters = dead_letters
        self._alarm = alarm
        self._on_connected = on_connected
        self._exchanges = exchanges
        self._listening = False

    @property
    def connected(self) -> bool:
        """Whether calls can be made and their outcomes heard, unless the broker is `blocked`."""
        return self._calls.connected and self._listening

    @property
    def blocked(self) -> str:
        """Why the broker takes no messages now; empty: it does."""
        return self._alarm.reason

    async def keep_calling(self) -> None:
        """Be able to make calls, until cancelled."""
        await _run_sessions(self._call)

    async def keep_listening(self) -> None:
        """Read what hosts publish, until cancelled; whatever ends this leaves the calls alone."""
        await _run_sessions(self._listen)

    async def _call(self) -> None:
        """Make calls until the connection or a channel of it is lost."""
        await asyncio.to_thread(topology.declare, self._uri, timeout_s=DECLARE_TIMEOUT_S)
        connection = await connections.connect(self._uri, self._alarm)
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                end = _SessionEnd(connection)
                letters = await connection.channel()
                probes = await connection.channel(publisher_confirms=False)
                for channel in (letters, probes):
                    channel.close_callbacks.add(end.come)
                exchange = await letters.get_exchange(topology.DEAD.name, ensure=False)
                self._dead_letters.connect(exchange)
                await self._calls.connect(connection, end.come)
            calls = await probes.get_exchange(topology.CALLS.name, ensure=False)
            log.info("connected to the broker", extra={"purpose": "calls"})
            while not await end.has_come():
                if not self._alarm.reason:
                    await calls.publish(Message(b""), _PROBE_KEY, mandatory=False)
                await self._calls.close_forgotten(set(self._exchanges().values()))
        finally:
            self._calls.disconnect()
            self._dead_letters.connect(None)
            self._alarm.reason = ""
            await connections.close(connection)

    async def _listen(self) -> None:
        """Read what hosts publish until the connection or a channel of it is lost."""
        await asyncio.to_thread(topology.declare, self._uri, timeout_s=DECLARE_TIMEOUT_S)
        connection = await connections.connect(self._uri)
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                end = _SessionEnd(connection)
                await self._incoming.connect(connection, end.come)
            log.info("connected to the broker", extra={"purpose": "events"})
            self._listening = True
            self._on_connected()
            while not await end.has_come():
                await self._incoming.close_forgotten()
        finally:
            self._listening = False
            await self._incoming.disconnect()
            await connections.close(connection)


async def _run_sessions(session: Callable[[], Awaitable[None]]) -> None:
    """Begin a session again and again; log why there is none, once for each reason."""
    complaint, backoff = "", Backoff(RETRY_S, MOST_RETRY_S)
    while True:
        try:
            await session()
            complaint = ""
            backoff.reset()
            log.warning("connection to the broker lost")
        except _LOST as exc:
            # Never the address: its password is in it.
            if complaint != (complaint := str(exc) or repr(exc)):
                log.warning("broker not reached", extra={"reason": complaint})
        await asyncio.sleep(backoff.next_s())


class _SessionEnd:
    """The end of a session: of its connection, or of a channel of it."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._event = asyncio.Event()
        connection.close_callbacks.add(self.come)

    def come(self, *_: object) -> None:
        """Let it have come."""
        self._event.set()

    async def has_come(self) -> bool:
        """Wait for it for a while; return whether it has come."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CHECK_S):
                await self._event.wait()
        return self._event.is_set()
