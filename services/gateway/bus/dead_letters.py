"""What is kept of messages that nobody could read.

Of each a few KB go to the queue of dead letters, with the reason; of a host that sends many only
the first ones, the others are counted. So nobody fills the queue, the log or the disk, or hides
others' dead letters behind their own.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractExchange
from aiormq.abc import DeliveredMessage

from services.gateway.bus.connection import CONNECTION_ERRORS, Alarm
from services.gateway.token_bucket import TokenBucket

log = logging.getLogger(__name__)

# Enough to see what it is; the digest tells whether it is always the same.
BODY_BYTES = 4096
# Of one host. A release that cannot read another's messages shows in the first of them.
PER_SECOND, AT_ONCE = 1.0, 10.0
TIMEOUT_S = 2.0
# Instead of a host, whose id cannot begin like this: the sender is not known to be one.
UNKNOWN = "_unknown"


class DeadLetters:
    """Keeps dead letters. `count` is told the host of each, `UNKNOWN` for all that are of none."""

    def __init__(self, alarm: Alarm, count: Callable[[str], None]) -> None:
        self._alarm = alarm
        self._count = count
        self._exchange: AbstractExchange | None = None
        self._budgets: dict[str, TokenBucket] = {}
        self._log_lines: dict[str, TokenBucket] = {}

    def connect(self, exchange: AbstractExchange | None) -> None:
        """Publish to this exchange from now on; None: nowhere."""
        self._exchange = exchange

    def forget(self, host: str) -> None:
        """Keep nothing of a host."""
        self._budgets.pop(host, None)
        self._log_lines.pop(host, None)

    async def add(self, host: str, message: DeliveredMessage, reason: str) -> None:
        """Count a message and keep what may be kept; return when it is kept, or cannot be."""
        self._count(host)
        if _budget(self._log_lines, host, 1.0).try_take():
            log.warning(
                "unreadable message",
                extra={"host": host, "key": message.routing_key, "reason": reason[:500]},
            )
        if self._exchange is None or self._alarm.reason:
            return
        if _budget(self._budgets, host, AT_ONCE).try_take():
            await self._publish(self._exchange, host, _dead_letter(message, reason))

    async def _publish(self, exchange: AbstractExchange, host: str, letter: Message) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await exchange.publish(letter, f"{host}.unreadable")
        except CONNECTION_ERRORS as exc:
            log.warning("dead letter lost", extra={"host": host, "reason": repr(exc)})


def _budget(budgets: dict[str, TokenBucket], host: str, burst: float) -> TokenBucket:
    if host not in budgets:
        budgets[host] = TokenBucket(PER_SECOND, burst)
    return budgets[host]


def _dead_letter(message: DeliveredMessage, reason: str) -> Message:
    return Message(
        message.body[:BODY_BYTES],
        content_type="application/octet-stream",
        headers={
            "fleet-reason": reason[:500],
            "fleet-key": message.routing_key or "",
            "fleet-size": len(message.body),
            "fleet-sha256": hashlib.sha256(message.body).hexdigest(),
        },
        delivery_mode=DeliveryMode.PERSISTENT,
    )
