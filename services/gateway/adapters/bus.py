"""The gateway's connection to the broker, kept for as long as the gateway lives.

One connection, made anew half a second after it is lost, with everything on it: the topology, a
channel for calls and one for what comes in. In between, calls fail at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

import aio_pika
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from amqp.exceptions import AMQPError
from kombu.exceptions import KombuError
from yarl import URL

from services.gateway.adapters.calls import Calls
from services.gateway.adapters.incoming import Incoming
from shared.platform import topology

log = logging.getLogger(__name__)

RETRY_S = 0.5
CONNECT_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 1.0
HEARTBEAT_S = 10

_LOST = (*CONNECTION_EXCEPTIONS, AMQPError, KombuError, TimeoutError)


class Bus:
    """Connects `calls` and `incoming`; `on_connected` is called after each connection."""

    def __init__(
        self, amqp_uri: str, calls: Calls, incoming: Incoming, on_connected: Callable[[], None]
    ) -> None:
        self._uri = amqp_uri
        self._calls = calls
        self._incoming = incoming
        self._on_connected = on_connected
        self._complaint = ""

    @property
    def connected(self) -> bool:
        """Whether calls can be made now."""
        return self._calls.connected

    async def run(self) -> None:
        """Stay connected until cancelled."""
        while True:
            try:
                await self._session()
            except _LOST as exc:
                self._complain(str(exc) or repr(exc))
            finally:
                self._calls.disconnect()
            await asyncio.sleep(RETRY_S)

    async def _session(self) -> None:
        """Connect, serve, and return when the connection or a channel of it is lost."""
        await asyncio.to_thread(topology.declare, self._uri, timeout_s=CONNECT_TIMEOUT_S)
        address = URL(self._uri).update_query(heartbeat=HEARTBEAT_S)
        connection = await aio_pika.connect(address, timeout=CONNECT_TIMEOUT_S)
        try:
            lost = await self._open(connection)
            log.info("connected to the broker")
            self._complaint = ""
            self._on_connected()
            await lost.wait()
            log.warning("connection to the broker lost")
        finally:
            self._calls.disconnect()
            await _close(connection)

    def _complain(self, reason: str) -> None:
        """Log why there is no connection, once for each reason; never the address's password."""
        if reason != self._complaint:
            log.warning("broker not reached", extra={"reason": reason})
        self._complaint = reason

    async def _open(self, connection: AbstractConnection) -> asyncio.Event:
        lost = asyncio.Event()
        calls = await connection.channel(on_return_raises=True)
        incoming = await connection.channel()
        for part in (connection, calls, incoming):
            part.close_callbacks.add(lambda *_: lost.set())
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            # Calls last: once they can be made, their outcomes are heard.
            await self._incoming.connect(incoming)
            await self._calls.connect(calls)
        return lost


async def _close(connection: AbstractConnection) -> None:
    # A broker that hangs would not answer the farewell.
    with suppress(TimeoutError, *CONNECTION_EXCEPTIONS):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await connection.close()
