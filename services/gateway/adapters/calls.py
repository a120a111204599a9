"""Calls to workers and their answers.

An answer counts only from the host that was asked, which is the first word of the answer's routing
key: the broker lets a host publish under no other. The gateway's id is part of that key and cannot
be guessed, so that nobody fills the queue who was not asked.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from uuid import uuid4

from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, PublishError

from services.gateway.adapters import wire
from shared.contracts.errors import BrokerUnavailable, HostUnreachable, OutcomeUnknown
from shared.platform import provenance, topology
from shared.platform.logs import correlation_id

log = logging.getLogger(__name__)


class Calls:
    """A `shared.contracts.worker_api.Call` over the broker, once it is connected."""

    def __init__(self, gateway: str, *, timeout_s: float) -> None:
        self._gateway = gateway
        self._timeout_s = timeout_s
        self._channel: AbstractChannel | None = None
        self._pending: dict[str, tuple[str, asyncio.Future[bytes | None]]] = {}

    @property
    def connected(self) -> bool:
        """Whether calls can be made now."""
        return self._channel is not None and not self._channel.is_closed

    async def connect(self, channel: AbstractChannel) -> None:
        """Make calls on this channel, which must raise what is returned to it."""
        # A broker that has not noticed the loss of the last connection still holds its queue.
        name = f"gateway.{self._gateway}.replies.{secrets.token_hex(4)}"
        queue = await channel.declare_queue(name, exclusive=True, auto_delete=True)
        await queue.bind(topology.ANSWERS.name, topology.reply_key("*", self._gateway))
        await queue.consume(self._take, no_ack=True)
        self._channel = channel

    def disconnect(self) -> None:
        """Make no more calls; what was sent has an unknown outcome."""
        self._channel = None
        for _, answer in self._pending.values():
            if not answer.done():
                answer.set_result(None)

    async def __call__(self, host: str, method: str, args: list[object]) -> object:
        """Call a worker's method and return its answer.

        Raises BrokerUnavailable (not sent), HostUnreachable (not delivered), OutcomeUnknown (sent,
        no answer in time or the connection lost), UnreadableMessage, or what the worker raised.
        """
        if self._channel is None or not self.connected:
            raise BrokerUnavailable
        exchange = await self._channel.get_exchange(topology.CALLS.name, ensure=False)
        call_id = uuid4().hex
        answer: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._pending[call_id] = (host, answer)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._send(exchange, host, method, self._message(call_id, host, args))
                body = await answer
        except TimeoutError:
            raise OutcomeUnknown(host) from None
        finally:
            del self._pending[call_id]
        if body is None:
            raise OutcomeUnknown(host)
        return wire.result(body, host)

    def _message(self, call_id: str, host: str, args: list[object]) -> Message:
        return Message(
            wire.call(args),
            content_type="application/json",
            content_encoding="utf-8",
            correlation_id=call_id,
            reply_to=topology.reply_key(host, self._gateway),
            headers={"nameko.correlation_id": correlation_id.get()},
        )

    async def _send(
        self, exchange: AbstractExchange, host: str, method: str, message: Message
    ) -> None:
        try:
            await exchange.publish(message, topology.call_key(host, method), mandatory=True)
        except PublishError as exc:
            raise HostUnreachable(host) from exc
        except CONNECTION_EXCEPTIONS as exc:
            raise OutcomeUnknown(host) from exc

    async def _take(self, message: AbstractIncomingMessage) -> None:
        host, answer = self._pending.get(message.correlation_id or "", (None, None))
        if host is None or answer is None:
            log.debug("an answer that nobody awaits", extra={"key": message.routing_key})
        elif not self._is_from(host, message):
            log.warning("an answer of doubtful origin dropped", extra={"key": message.routing_key})
        elif not answer.done():
            answer.set_result(message.body)

    def _is_from(self, host: str, message: AbstractIncomingMessage) -> bool:
        return message.routing_key == topology.reply_key(host, self._gateway) and provenance.direct(
            exchange=message.exchange or "",
            expected_exchange=topology.ANSWERS.name,
            headers=message.headers,
        )
