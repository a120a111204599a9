"""What hosts publish: their events for the view, and the outcomes of operations for the database.

The host and the type of a message come from its routing key. What cannot be read goes to the dead
letters with the reason; nothing that a host sends stops the gateway.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage

from shared.contracts.codec import decode
from shared.contracts.errors import UnreadableMessage
from shared.contracts.events import Event, OperationChanged
from shared.contracts.operations import Operation, State
from shared.platform import provenance, topology

log = logging.getLogger(__name__)

# Events wait here only while the loop is busy; beyond this the oldest go, and the gap shows.
MAX_EVENTS_WAITING = 10_000
MAX_BYTES_WAITING = 256 * 2**20
# Outcomes taken but not committed yet.
MAX_OUTCOMES_AT_ONCE = 50

# The end of an outcome's routing key: of the binding, what follows the host's place.
_OUTCOME = str(topology.OUTCOMES.routing_key).removeprefix("*")
# A host with the most instances there may be needs less, descriptions and all.
LARGEST_EVENT = 16 * 2**20
# Only a gateway knows of these; a worker has no record of what it was not given.
_NO_WORKERS = frozenset({State.SUBMITTING, State.REJECTED})

OnEvent = Callable[[str, Event], None]
OnOutcome = Callable[[Operation], Awaitable[None]]


class Incoming:
    """Reads this gateway's own queue of events and the shared queue of outcomes.

    An outcome is acknowledged when `on_outcome` returns, so that it must have been kept by then.
    """

    def __init__(self, gateway: str, on_event: OnEvent, on_outcome: OnOutcome) -> None:
        self._gateway = gateway
        self._on_event = on_event
        self._on_outcome = on_outcome
        self._dead: AbstractExchange | None = None

    async def connect(self, channel: AbstractChannel) -> None:
        """Read on this channel until it closes."""
        await channel.set_qos(prefetch_count=MAX_OUTCOMES_AT_ONCE)
        self._dead = await channel.get_exchange(topology.DEAD.name, ensure=False)
        # Not the name of the last connection's: the broker may not have noticed its loss yet.
        events = await channel.declare_queue(
            f"gateway.{self._gateway}.events.{secrets.token_hex(4)}",
            exclusive=True,
            auto_delete=True,
            arguments={
                "x-max-length": MAX_EVENTS_WAITING,
                "x-max-length-bytes": MAX_BYTES_WAITING,
            },
        )
        await events.bind(topology.EVENTS.name, "#")
        await events.consume(self._take_event, no_ack=True)
        outcomes = await channel.get_queue(topology.OUTCOMES.name, ensure=False)
        await outcomes.consume(self._take_outcome)

    async def _take_event(self, message: AbstractIncomingMessage) -> None:
        try:
            host, event = _read(message)
        except UnreadableMessage as exc:
            # The queue of outcomes gets those of operations too, and buries them once for all.
            if not (message.routing_key or "").endswith(_OUTCOME):
                await self._bury(message, exc.reason)
        else:
            self._on_event(host, event)

    async def _take_outcome(self, message: AbstractIncomingMessage) -> None:
        try:
            _, event = _read(message)
            await self._on_outcome(_operation(event))
        except UnreadableMessage as exc:
            await self._bury(message, exc.reason)
        await message.ack()

    async def _bury(self, message: AbstractIncomingMessage, reason: str) -> None:
        log.warning("unreadable event", extra={"key": message.routing_key, "reason": reason})
        if self._dead is not None:
            await self._dead.publish(_dead_letter(message, reason), _dead_key(message))


def _read(message: AbstractIncomingMessage) -> tuple[str, Event]:
    direct = provenance.direct(
        exchange=message.exchange or "",
        expected_exchange=topology.EVENTS.name,
        headers=message.headers,
    )
    named = topology.read_event_key(message.routing_key or "")
    if not direct or named is None:
        raise UnreadableMessage("not an event of a host")
    host, kind = named
    if len(message.body) > LARGEST_EVENT:
        raise UnreadableMessage(f"larger than {LARGEST_EVENT} bytes")
    event = decode(kind, message.body)
    if isinstance(event, OperationChanged):
        _check(event.operation, host)
    return host, event


def _check(operation: Operation, host: str) -> None:
    if operation.host != host:
        raise UnreadableMessage("an operation of another host")
    if operation.state in _NO_WORKERS:
        raise UnreadableMessage(f"no worker has an operation that is {operation.state.value}")


def _operation(event: Event) -> Operation:
    if not isinstance(event, OperationChanged):
        raise UnreadableMessage("not an operation")
    return event.operation


def _dead_letter(message: AbstractIncomingMessage, reason: str) -> Message:
    return Message(
        message.body,
        content_type="application/octet-stream",
        headers={"fleet-reason": reason[:500], "fleet-key": message.routing_key},
        delivery_mode=DeliveryMode.PERSISTENT,
    )


def _dead_key(message: AbstractIncomingMessage) -> str:
    host = (message.routing_key or "").partition(".")[0]
    return f"{host or 'unknown'}.unreadable"
