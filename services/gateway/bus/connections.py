"""Keeps the gateway connected to the broker.

One connection carries calls and replies, another everything else that hosts publish
(`EventConsumers` adds one for the outcomes of operations); each is reopened soon after a loss. So
whatever hosts publish, calls still work. Only the first connection publishes: while the broker is
blocked (see `Alarm`), messages on the others can still be acknowledged.
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
from services.gateway.bus.central_calls import CentralCalls
from services.gateway.bus.connection import Alarm
from services.gateway.bus.dead_letters import DeadLetters
from services.gateway.bus.event_consumers import EventConsumers
from shared.platform.bus import topology
from shared.platform.run.backoff import Backoff

log = logging.getLogger(__name__)

# Short: there are few gateways, and everything waits for them.
RETRY_S, MOST_RETRY_S = 0.25, 0.5
DECLARE_TIMEOUT_S = 5.0
# The queues of a thousand hosts take some 5 s, or 15 s on a broker that has none yet.
OPEN_TIMEOUT_S = 60.0
# How soon a forgotten host's queues are deleted, and an alarm of the broker is noticed.
CHECK_S = 2.0
# No queue is bound with this key. RabbitMQ reports an alarm only to a connection that publishes.
_PROBE_KEY = "gateway.probe"

_LOST = (*connections.CONNECTION_ERRORS, AMQPError, KombuError)


class BusConnections:
    """Connects `calls`, `central`, `consumers` and `dead_letters`.

    `on_connected` is called each time that events are consumed again; `exchanges` returns those of
    the known hosts, by host.
    """

    def __init__(
        self,
        amqp_uri: str,
        calls: Calls,
        central: CentralCalls,
        consumers: EventConsumers,
        dead_letters: DeadLetters,
        alarm: Alarm,
        on_connected: Callable[[], None],
        exchanges: Callable[[], Mapping[str, str]],
    ) -> None:
        self._uri = amqp_uri
        self._calls = calls
        self._central = central
        self._consumers = consumers
        self._dead_letters = dead_letters
        self._alarm = alarm
        self._on_connected = on_connected
        self._exchanges = exchanges
        self._consuming = False

    @property
    def connected(self) -> bool:
        """Whether calls can be made and events are consumed, unless the broker is `blocked`."""
        return self._calls.connected and self._consuming

    @property
    def blocked(self) -> str:
        """Why the broker is blocked; empty: it is not."""
        return self._alarm.reason

    async def run_calls(self) -> None:
        """Keep the connection for calls open, until cancelled."""
        await _run_sessions(self._call)

    async def run_consumers(self) -> None:
        """Keep consuming what hosts publish, until cancelled."""
        await _run_sessions(self._consume)

    async def _call(self) -> None:
        """Serve calls until the connection or one of its channels is lost."""
        await asyncio.to_thread(topology.declare, self._uri, timeout_s=DECLARE_TIMEOUT_S)
        connection = await connections.connect(self._uri, self._alarm)
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                end = _SessionEnd(connection)
                letters = await connection.channel()
                probes = await connection.channel(publisher_confirms=False)
                for channel in (letters, probes):
                    channel.close_callbacks.add(end.set)
                exchange = await letters.get_exchange(topology.DEAD.name, ensure=False)
                self._dead_letters.connect(exchange)
                await self._calls.connect(connection, end.set)
                await self._central.connect(connection, end.set)
            calls = await probes.get_exchange(topology.CALLS.name, ensure=False)
            log.info("connected to the broker", extra={"purpose": "calls"})
            while not await end.wait():
                if not self._alarm.reason:
                    await calls.publish(Message(b""), _PROBE_KEY, mandatory=False)
                await self._calls.close_forgotten(set(self._exchanges().values()))
        finally:
            self._calls.disconnect()
            self._central.disconnect()
            self._dead_letters.connect(None)
            self._alarm.reason = ""
            await connections.close(connection)

    async def _consume(self) -> None:
        """Consume what hosts publish until the connection or one of its channels is lost."""
        await asyncio.to_thread(topology.declare, self._uri, timeout_s=DECLARE_TIMEOUT_S)
        connection = await connections.connect(self._uri)
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                end = _SessionEnd(connection)
                await self._consumers.connect(connection, end.set)
            log.info("connected to the broker", extra={"purpose": "events"})
            self._consuming = True
            self._on_connected()
            while not await end.wait():
                await self._consumers.maintain()
        finally:
            self._consuming = False
            await self._consumers.disconnect()
            await connections.close(connection)


async def _run_sessions(session: Callable[[], Awaitable[None]]) -> None:
    """Run a session again and again; log why it failed, once for each reason."""
    last_error, backoff = "", Backoff(RETRY_S, MOST_RETRY_S)
    while True:
        try:
            await session()
            last_error = ""
            backoff.reset()
            log.warning("connection to the broker lost")
        except _LOST as exc:
            # Never the URI: it contains the password.
            if last_error != (last_error := str(exc) or repr(exc)):
                log.warning("broker not reached", extra={"reason": last_error})
        await asyncio.sleep(backoff.next_s())


class _SessionEnd:
    """The end of a session: of its connection or one of its channels."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._event = asyncio.Event()
        connection.close_callbacks.add(self.set)

    def set(self, *_: object) -> None:
        """Mark the session as ended."""
        self._event.set()

    async def wait(self) -> bool:
        """Wait up to `CHECK_S` for the end; return whether it has come."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CHECK_S):
                await self._event.wait()
        return self._event.is_set()
