"""Remote calls to the snapshots service, in nameko's protocol on nameko's own exchange.

Hosts have no right on that exchange: they neither see a call nor can answer one.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from uuid import uuid4

from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, PublishError
from aiormq.abc import DeliveredMessage

from services.gateway.bus import wire
from services.gateway.bus.connection import Alarm
from services.gateway.bus.consumer import OnLost
from services.gateway.units import MIB
from shared.contracts.errors import BrokerUnavailable, SnapshotsSilent, SnapshotsUnavailable
from shared.contracts.policy_api import SERVICE
from shared.platform.bus import topology
from shared.platform.logs import correlation_id

log = logging.getLogger(__name__)

# Answers that are not read at once. A page of runs has up to some hundred KiB.
REPLY_QUEUE_LIMITS = {"x-max-length": 1_000, "x-max-length-bytes": 64 * MIB}
# Calls that wait for their answers.
MOST_PENDING = 1000


class CentralCalls:
    """Implements `shared.contracts.policy_api.CallSnapshots` over the broker.

    While the broker is blocked (`alarm`) no call is sent: it would be executed once the alarm is
    over.
    """

    def __init__(self, gateway: str, alarm: Alarm, *, timeout_s: float) -> None:
        self._gateway = gateway
        self._alarm = alarm
        self._timeout_s = timeout_s
        self._channel: AbstractChannel | None = None
        self._reply_to = ""
        self._pending: dict[str, asyncio.Future[bytes | None]] = {}

    async def connect(self, connection: AbstractConnection, on_lost: OnLost) -> None:
        """Make calls over this connection; the end of one of its channels calls `on_lost`."""
        # Random, as a broker that has not noticed the loss of the last connection still has its
        # queue.
        self._reply_to = f"gateway.{self._gateway}.{secrets.token_hex(16)}.central"
        # Unroutable calls must raise: nobody consumes them.
        channel = await connection.channel(on_return_raises=True)
        channel.close_callbacks.add(on_lost)
        replies = await channel.get_underlay_channel()
        replies.on_consumer_cancel_callbacks.add(on_lost)
        await replies.queue_declare(
            self._reply_to, exclusive=True, auto_delete=True, arguments=dict(REPLY_QUEUE_LIMITS)
        )
        await replies.queue_bind(self._reply_to, topology.CENTRAL_CALLS.name, self._reply_to)
        await replies.basic_consume(self._reply_to, self._on_reply, no_ack=True)
        self._channel = channel

    def disconnect(self) -> None:
        """Make no more calls; those in flight have an unknown outcome."""
        self._channel = None
        for reply in self._pending.values():
            if not reply.done():
                reply.set_result(None)

    async def __call__(self, method: str, args: list[object]) -> object:
        """Call a method of the service and return its result.

        Raises BrokerUnavailable (not sent), SnapshotsUnavailable (not delivered), SnapshotsSilent
        (sent, but no reply in time or the connection lost), UnreadableMessage, or what the service
        raised.
        """
        channel = self._channel
        if channel is None or channel.is_closed or self._alarm.reason:
            raise BrokerUnavailable
        if len(self._pending) >= MOST_PENDING:
            raise SnapshotsUnavailable
        call_id = uuid4().hex
        reply: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._pending[call_id] = reply
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._send(channel, method, self._message(call_id, args))
                body = await reply
        except TimeoutError:
            raise SnapshotsSilent from None
        finally:
            del self._pending[call_id]
        if body is None:
            raise SnapshotsSilent
        return wire.decode_central_reply(body)

    def _message(self, call_id: str, args: list[object]) -> Message:
        return Message(
            wire.encode_call(args),
            content_type="application/json",
            content_encoding="utf-8",
            correlation_id=call_id,
            reply_to=self._reply_to,
            headers={"nameko.correlation_id": correlation_id.get()},
        )

    async def _send(self, channel: AbstractChannel, method: str, message: Message) -> None:
        try:
            exchange = await channel.get_exchange(topology.CENTRAL_CALLS.name, ensure=False)
            await exchange.publish(message, f"{SERVICE}.{method}", mandatory=True)
        except PublishError as exc:
            raise SnapshotsUnavailable from exc
        except CONNECTION_EXCEPTIONS as exc:
            raise SnapshotsSilent from exc

    async def _on_reply(self, message: DeliveredMessage) -> None:
        reply = self._pending.get(message.header.properties.correlation_id or "")
        if reply is None or reply.done():
            log.debug("reply without a pending call")
            return
        reply.set_result(message.body)
