"""What hosts publish: their events for the view, and the outcomes of operations for the database.

Each host has queues of its own, so that it can crowd out nothing but its own messages: one of each
gateway for its events, whose oldest go when they are too many, and one of all gateways for
outcomes, which refuses more when it is full (a worker keeps what was refused, and sends it again).

The name of a host's exchange is learned from its heartbeats, which come through it: of hosts that
are not known yet, and of those whose password has changed, and the name with it. What still waits
in the queue of outcomes of the name before stays in the worker's journal too, which is read anew
whenever a worker has started.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from aiormq.abc import AbstractChannel as Channel
from aiormq.abc import DeliveredMessage

from services.gateway.bus.connection import SharedConnection
from services.gateway.bus.consumer import Consumer, OnLost, RateBudget, bind, channel_for
from services.gateway.bus.dead_letters import UNKNOWN, DeadLetters
from services.gateway.bus.event_reader import read_event
from services.gateway.bus.outcome_reader import (
    MOST_CHANNELS,
    OUTCOMES,
    OutcomeReader,
    SharedChannel,
)
from services.gateway.fleet.view import MOST_HOSTS
from services.gateway.units import MIB
from shared.contracts.errors import UnreadableMessage
from shared.contracts.events import Event, Heartbeat, OperationChanged
from shared.contracts.operations import Operation
from shared.platform.bus import topology

log = logging.getLogger(__name__)

# A host with 1,500 instances sends 4 MiB each second where it samples so often. When it starts them
# all it sends some 3,000 changes at once: a third is taken at once, the others wait in the queue.
EVENTS = RateBudget(
    messages_per_s=50,
    messages_at_once=1000,
    bytes_per_s=4 * MIB,
    bytes_at_once=32 * MIB,
    prefetch=4,
)
# Heartbeats of all hosts together; a thousand hosts send 500 each second.
DISCOVERY = RateBudget(
    messages_per_s=600,
    messages_at_once=1200,
    bytes_per_s=MIB,
    bytes_at_once=2 * MIB,
    prefetch=20,
)
EVENT_QUEUE_LIMITS = {"x-max-length": 10_000, "x-max-length-bytes": 64 * MIB}
HEARTBEAT_QUEUE_LIMITS = {"x-max-length": 1_000, "x-max-length-bytes": 4 * MIB}
# Channels over which the events of hosts are spread: what waits for the broker's answer on one of
# them does not wait for that on the others.
CHANNELS = 12
# Names are changed by people. Who may still write to two of a host's exchanges could have its
# queues made anew with each heartbeat.
RENAME_S = 5.0

_OUTCOME = ".worker.operation"

OnEvent = Callable[[str, Event], None]
OnOutcome = Callable[[Operation], Awaitable[None]]
# Told a host's id, and the name of the queue that its worker misses.
OnQueueMissing = Callable[[str, str], None]
# Told the first heartbeat that comes through an exchange, with the host's id and the exchange.
OnDiscovered = Callable[[str, str, Heartbeat], None]


@dataclass(frozen=True, slots=True)
class _HostSubscription:
    """A host's exchange that is read, since when, and what reads it."""

    exchange: str
    since: float
    outcomes: OutcomeReader
    events: Consumer

    async def close(self) -> None:
        """Read it no more."""
        self.outcomes.stop()
        await self.events.stop()


class EventConsumers:
    """Reads what every known host publishes, and finds those that are not known.

    An outcome is acknowledged when `on_outcome` returns, so that it must have been kept by then.
    `exchanges` returns those of the known hosts, by host; empty: it is to be learned. `outcomes` is
    the connection over which outcomes are read.
    """

    def __init__(
        self,
        gateway: str,
        on_found: OnDiscovered,
        on_event: OnEvent,
        on_outcome: OnOutcome,
        on_queue_missing: OnQueueMissing,
        exchanges: Callable[[], Mapping[str, str]],
        dead_letters: DeadLetters,
        throttled: Callable[[str], None],
        outcomes: SharedConnection,
        *,
        rename_s: float = RENAME_S,
    ) -> None:
        self._gateway = gateway
        self._on_found = on_found
        self._on_event = on_event
        self._on_outcome = on_outcome
        self._on_queue_missing = on_queue_missing
        self._exchanges = exchanges
        self._dead_letters = dead_letters
        self._throttled = throttled
        self._outcomes = outcomes
        self._rename_s = rename_s
        self._channels: list[Channel] = []
        self._open: dict[str, _HostSubscription] = {}
        # Hosts whose queues are being made; they are told of once nothing of theirs is missed.
        self._opening: set[str] = set()

    async def connect(self, connection: AbstractConnection, lost: OnLost) -> None:
        """Read all that hosts publish; the end of a channel of this connection calls `lost`."""
        # Not the names of the last connection's queues: the broker may not have noticed its loss.
        # Hosts know the gateway's id, and could try what follows it.
        self._session = f"{self._gateway}.{secrets.token_hex(16)}"
        self._channels = [await channel_for(EVENTS, connection, lost) for _ in range(CHANNELS)]
        self._outcome_channels = [SharedChannel(self._outcomes) for _ in range(MOST_CHANNELS)]
        names = self._exchanges().items()
        await asyncio.gather(*(self._open_host(host, name) for host, name in names if name))
        await self._discover(await channel_for(DISCOVERY, connection, lost))

    async def disconnect(self) -> None:
        """Let go of the connection, which is lost or about to be closed, and of the outcomes'."""
        for opened in self._open.values():
            opened.outcomes.stop()
        self._open = {}
        await self._outcomes.close()

    async def close_forgotten(self) -> None:
        """Read no more of what hosts publish that are not known any more."""
        known = self._opening.union(self._exchanges())
        for host in [host for host in self._open if host not in known]:
            await self._open.pop(host).close()
            self._dead_letters.forget(host)

    async def _discover(self, channel: Channel) -> None:
        queue = f"gateway.{self._session}.discovery"
        await channel.queue_declare(
            queue, exclusive=True, auto_delete=True, arguments=dict(HEARTBEAT_QUEUE_LIMITS)
        )
        await channel.queue_bind(queue, topology.HEARTBEATS.name, "#")
        await self._consumer(UNKNOWN, self._take_heartbeat, DISCOVERY).start(channel, queue)

    async def _open_host(self, host: str, exchange: str) -> None:
        outcome_consumer = self._consumer(host, self._outcome_taker(host), OUTCOMES)
        outcome_channel = self._outcome_channels[len(self._open) % MOST_CHANNELS]
        outcomes = OutcomeReader(outcome_channel, exchange, outcome_consumer)
        channel = self._channels[len(self._open) % CHANNELS]
        events = self._consumer(host, self._event_taker(host), EVENTS)
        now = asyncio.get_running_loop().time()
        self._open[host] = _HostSubscription(exchange, now, outcomes, events)
        # Outcomes first: an event that is routed tells its host that somebody keeps it.
        await outcomes.start()
        queue = f"gateway.{self._session}.events.{exchange.removeprefix(topology.HOST_EXCHANGES)}"
        await channel.queue_declare(
            queue, exclusive=True, auto_delete=True, arguments=dict(EVENT_QUEUE_LIMITS)
        )
        await bind(channel, queue, exchange, f"{host}.worker.*", f"{host}.sampler.*")
        await events.start(channel, queue)

    def _consumer(
        self, host: str, take: Callable[[DeliveredMessage], Awaitable[None]], budget: RateBudget
    ) -> Consumer:
        return Consumer(host, take, budget, self._dead_letters, self._throttled)

    async def _take_heartbeat(self, message: DeliveredMessage) -> None:
        exchange = message.exchange or ""
        before = self._open.get(topology.host_of(exchange))
        if before and not self._is_renamed(before, exchange):
            return  # It is in the host's own queue as well.
        host, event = read_event(message)
        if not isinstance(event, Heartbeat):
            return
        if not before and len(self._open) >= MOST_HOSTS:
            raise UnreadableMessage(f"of a host beyond the {MOST_HOSTS} that are listened to")
        self._opening.add(host)
        try:
            await self._open_host(host, exchange)
            self._see_to_queue(host, event)
            self._on_found(host, exchange, event)
            if before:
                log.info("host has another exchange", extra={"host": host})
                await before.close()
        except CONNECTION_EXCEPTIONS as exc:
            # It is found again on the next connection.
            log.info("host not opened", extra={"host": host, "reason": repr(exc)})
        finally:
            self._opening.discard(host)

    def _is_renamed(self, opened: _HostSubscription, exchange: str) -> bool:
        """Whether a heartbeat through this exchange makes it the host's in place of another one."""
        open_s = asyncio.get_running_loop().time() - opened.since
        return opened.exchange != exchange and open_s >= self._rename_s

    def _event_taker(self, host: str) -> Callable[[DeliveredMessage], Awaitable[None]]:
        async def take_event(message: DeliveredMessage) -> None:
            try:
                event = _event_of(host, message)
                self._see_to_queue(host, event)
                self._on_event(host, event)
            except UnreadableMessage:
                # The queue of outcomes gets those of operations too, for the dead letters once.
                if not (message.routing_key or "").endswith(_OUTCOME):
                    raise

        return take_event

    def _see_to_queue(self, host: str, event: Event) -> None:
        # Before the event is told of: whoever calls the host because of it finds the queue.
        if isinstance(event, Heartbeat) and event.calls_queue:
            self._on_queue_missing(host, event.calls_queue)

    def _outcome_taker(self, host: str) -> Callable[[DeliveredMessage], Awaitable[None]]:
        async def take_outcome(message: DeliveredMessage) -> None:
            event = _event_of(host, message)
            if not isinstance(event, OperationChanged):
                raise UnreadableMessage("not an operation")
            await self._on_outcome(event.operation)

        return take_outcome


def _event_of(host: str, message: DeliveredMessage) -> Event:
    sender, event = read_event(message)
    if sender != host:
        raise UnreadableMessage("of another host")
    return event
