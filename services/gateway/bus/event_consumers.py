"""Consumes what hosts publish: events for the view, outcomes of operations for the database.

Each host has queues of its own, so that it can crowd out only its own messages: one per gateway for
its events, which drops the oldest beyond its limits, and one for all gateways for outcomes, which
rejects more when it is full (the worker keeps what was rejected, and publishes it again).

The exchange of a host is discovered by its heartbeats: that of a new host, and that of a host whose
password, and so whose exchange, has changed. Outcomes left in the queue of the previous exchange
are in the worker's journal too, which is read again whenever a worker has started.
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
from services.gateway.bus.discovery import DiscoveryQueue
from services.gateway.bus.event_validation import HostMessage, read_event
from services.gateway.bus.outcome_reader import (
    MOST_CHANNELS,
    OUTCOMES,
    OutcomeReader,
    SharedChannel,
)
from services.gateway.fleet.encoded_samples import EncodedSample
from services.gateway.fleet.view import MOST_HOSTS
from services.gateway.units import MIB
from shared.contracts.errors import UnreadableMessage
from shared.contracts.events import (
    WORKER,
    Heartbeat,
    OperationChanged,
    Sampled,
    SampledV1,
)
from shared.contracts.operations import Operation
from shared.platform.bus import topology

log = logging.getLogger(__name__)

# A host with 1,500 instances sends 4 MiB/s if it samples every second. When it starts all of them
# it sends some 3,000 changes: a third is handled in a burst, the rest waits in the queue.
EVENTS = RateBudget(
    messages_per_s=50,
    messages_at_once=1000,
    bytes_per_s=4 * MIB,
    bytes_at_once=32 * MIB,
    prefetch=4,
)
# Heartbeats of all hosts together; a thousand hosts send 500/s.
DISCOVERY = RateBudget(
    messages_per_s=600,
    messages_at_once=1200,
    bytes_per_s=MIB,
    bytes_at_once=2 * MIB,
    prefetch=20,
)
EVENT_QUEUE_LIMITS = {"x-max-length": 10_000, "x-max-length-bytes": 64 * MIB}
# The hosts' events are spread over several channels, as a channel handles one request at a time.
CHANNELS = 12
# People change passwords. Whoever may still publish to two of a host's exchanges could otherwise
# have its queues declared again with each heartbeat.
RENAME_S = 5.0
# A host of which no sample has come in the present form for so long may send the first one.
FIRST_FORM_S = 20.0

_OUTCOME = ".worker.operation"

OnEvent = Callable[[str, HostMessage], None]
OnOutcome = Callable[[Operation], Awaitable[None]]
# Called with a host's id, and the name of its worker's missing queue.
OnQueueMissing = Callable[[str, str], None]
# Called with a host's id, its exchange, and the first heartbeat that came through it.
OnDiscovered = Callable[[str, str, Heartbeat], None]


@dataclass(slots=True)
class _HostSubscription:
    """The consumers of a host's exchange, and the queue of its events on a channel.

    `since` is the loop time of the subscription, `sampled_at` that of the last sample in the
    present form. `first_form`: the queue is bound to samples in the first form, too.
    """

    exchange: str
    since: float
    outcomes: OutcomeReader
    events: Consumer
    channel: Channel
    queue: str
    sampled_at: float
    first_form: bool = False

    async def close(self) -> None:
        """Stop both consumers."""
        self.outcomes.stop()
        await self.events.stop()


class EventConsumers:
    """Consumes what every known host publishes, and discovers new hosts.

    An outcome is acknowledged when `on_outcome` returns, so it must be committed by then.
    `exchanges` returns those of the known hosts, by host; empty: not discovered yet. `outcomes` is
    the connection for the queues of outcomes.
    """

    def __init__(
        self,
        gateway: str,
        on_discovered: OnDiscovered,
        on_event: OnEvent,
        on_outcome: OnOutcome,
        on_queue_missing: OnQueueMissing,
        exchanges: Callable[[], Mapping[str, str]],
        dead_letters: DeadLetters,
        on_throttled: Callable[[str], None],
        outcomes: SharedConnection,
        *,
        rename_s: float = RENAME_S,
        first_form_s: float = FIRST_FORM_S,
    ) -> None:
        self._gateway = gateway
        self._on_discovered = on_discovered
        self._on_event = on_event
        self._on_outcome = on_outcome
        self._on_queue_missing = on_queue_missing
        self._exchanges = exchanges
        self._dead_letters = dead_letters
        self._on_throttled = on_throttled
        self._outcomes = outcomes
        self._rename_s = rename_s
        self._first_form_s = first_form_s
        self._channels: list[Channel] = []
        self._subscriptions: dict[str, _HostSubscription] = {}
        # Hosts whose queues are being declared; they are reported once everything is consumed.
        self._subscribing: set[str] = set()

    async def connect(self, connection: AbstractConnection, on_lost: OnLost) -> None:
        """Consume all that hosts publish; the end of a channel calls `on_lost`."""
        # Unique, as a broker that has not noticed the loss of the last connection still holds its
        # queues; random, as hosts know the gateway's id and could guess what follows it.
        self._session = f"{self._gateway}.{secrets.token_hex(16)}"
        self._channels = [await channel_for(EVENTS, connection, on_lost) for _ in range(CHANNELS)]
        self._outcome_channels = [SharedChannel(self._outcomes) for _ in range(MOST_CHANNELS)]
        names = self._exchanges().items()
        await asyncio.gather(*(self._subscribe(host, name) for host, name in names if name))
        await self._subscribe_to_heartbeats(await channel_for(DISCOVERY, connection, on_lost))

    async def disconnect(self) -> None:
        """Drop the connection, which is lost or about to be closed, and close that of outcomes."""
        for subscription in self._subscriptions.values():
            subscription.outcomes.stop()
        self._subscriptions = {}
        await self._outcomes.close()

    async def maintain(self) -> None:
        """Adapt what is consumed to the hosts that are known, and to the samples they send."""
        await self._close_forgotten()
        await self._bind_samples()
        await self._discovery.pace(len(self._subscriptions))

    async def _close_forgotten(self) -> None:
        hosts = self._subscribing.union(self._exchanges())
        for host in [host for host in self._subscriptions if host not in hosts]:
            await self._subscriptions.pop(host).close()
            self._dead_letters.forget(host)

    async def _bind_samples(self) -> None:
        """Consume samples in the first form of hosts that send none in the present form."""
        now = asyncio.get_running_loop().time()
        for host, each in list(self._subscriptions.items()):
            wanted = now - each.sampled_at >= self._first_form_s
            if wanted is each.first_form:
                continue
            each.first_form = wanted
            change = each.channel.queue_bind if wanted else each.channel.queue_unbind
            await change(each.queue, each.exchange, topology.event_key_of(host, SampledV1))

    async def _subscribe_to_heartbeats(self, channel: Channel) -> None:
        self._discovery = DiscoveryQueue(channel, f"gateway.{self._session}.discovery")
        await self._discovery.declare()
        consumer = self._consumer(UNKNOWN, self._on_heartbeat, DISCOVERY)
        await consumer.start(channel, self._discovery.name)

    async def _subscribe(self, host: str, exchange: str) -> None:
        outcome_consumer = self._consumer(host, self._outcome_handler(host), OUTCOMES)
        outcome_channel = self._outcome_channels[len(self._subscriptions) % MOST_CHANNELS]
        outcomes = OutcomeReader(outcome_channel, exchange, outcome_consumer)
        channel = self._channels[len(self._subscriptions) % CHANNELS]
        events = self._consumer(host, self._event_handler(host), EVENTS)
        now = asyncio.get_running_loop().time()
        queue = f"gateway.{self._session}.events.{exchange.removeprefix(topology.HOST_EXCHANGES)}"
        self._subscriptions[host] = _HostSubscription(
            exchange, now, outcomes, events, channel, queue, sampled_at=now
        )
        # Outcomes first: once an event is routed, its host takes it as stored.
        await outcomes.start()
        await channel.queue_declare(
            queue, exclusive=True, auto_delete=True, arguments=dict(EVENT_QUEUE_LIMITS)
        )
        await bind(
            channel, queue, exchange, f"{host}.{WORKER}.*", topology.event_key_of(host, Sampled)
        )
        await events.start(channel, queue)

    def _consumer(
        self, host: str, handle: Callable[[DeliveredMessage], Awaitable[None]], budget: RateBudget
    ) -> Consumer:
        return Consumer(host, handle, budget, self._dead_letters, self._on_throttled)

    async def _on_heartbeat(self, message: DeliveredMessage) -> None:
        exchange = message.exchange or ""
        current = self._subscriptions.get(topology.host_of(exchange))
        if current and not self._replaces(current, exchange):
            return  # The host's own queue has it as well.
        host, event = read_event(message)
        if not isinstance(event, Heartbeat):
            return
        if not current and len(self._subscriptions) >= MOST_HOSTS:
            raise UnreadableMessage(f"of a host beyond the first {MOST_HOSTS}")
        self._subscribing.add(host)
        try:
            await self._subscribe(host, exchange)
            self._declare_missing_queue(host, event)
            self._on_discovered(host, exchange, event)
            self._discovery.note_found()
            if current:
                log.info("host exchange changed", extra={"host": host})
                await current.close()
        except CONNECTION_EXCEPTIONS as exc:
            # It is discovered again on the next connection.
            log.info("host subscription failed", extra={"host": host, "reason": repr(exc)})
        finally:
            self._subscribing.discard(host)

    def _replaces(self, current: _HostSubscription, exchange: str) -> bool:
        """Whether a heartbeat through this exchange replaces the current one."""
        open_s = asyncio.get_running_loop().time() - current.since
        return current.exchange != exchange and open_s >= self._rename_s

    def _event_handler(self, host: str) -> Callable[[DeliveredMessage], Awaitable[None]]:
        async def on_message(message: DeliveredMessage) -> None:
            try:
                event = _event_of(host, message)
                self._declare_missing_queue(host, event)
                self._note_sample(host, event, message.routing_key)
                self._on_event(host, event)
            except UnreadableMessage:
                # The queue of outcomes holds operations too: one dead letter is enough.
                if not (message.routing_key or "").endswith(_OUTCOME):
                    raise

        return on_message

    def _note_sample(self, host: str, event: HostMessage, key: str | None) -> None:
        if not isinstance(event, EncodedSample) or host not in self._subscriptions:
            return
        if key == topology.event_key_of(host, Sampled):
            self._subscriptions[host].sampled_at = asyncio.get_running_loop().time()

    def _declare_missing_queue(self, host: str, event: HostMessage) -> None:
        # Before the event is handled: whoever calls the host because of it finds the queue.
        if isinstance(event, Heartbeat) and event.calls_queue:
            self._on_queue_missing(host, event.calls_queue)

    def _outcome_handler(self, host: str) -> Callable[[DeliveredMessage], Awaitable[None]]:
        async def on_message(message: DeliveredMessage) -> None:
            event = _event_of(host, message)
            if not isinstance(event, OperationChanged):
                raise UnreadableMessage("not an operation")
            await self._on_outcome(event.operation)

        return on_message


def _event_of(host: str, message: DeliveredMessage) -> HostMessage:
    sender, event = read_event(message)
    if sender != host:
        raise UnreadableMessage("of another host")
    return event
