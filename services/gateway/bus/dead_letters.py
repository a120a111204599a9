"""Publishes unreadable messages to the dead-letter queue.

A few KB of each are published with the reason; of a host that sends many, only the first ones, and
the rest are counted. So no host can fill the queue, the log or the disk, or hide other dead letters
behind its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractExchange
from aiormq.abc import DeliveredMessage

from services.gateway.bus.connection import CONNECTION_ERRORS, Alarm
from shared.platform.bus.dead_letter import (
    AT_ONCE,
    BODY_BYTES,
    LONGEST_REASON,
    PER_SECOND,
    dead_letter_headers,
)
from shared.platform.token_bucket import TokenBucket

log = logging.getLogger(__name__)

TIMEOUT_S = 2.0
# Instead of a host id, which cannot start like this: the sender is not a known host.
UNKNOWN = "_unknown"


class DeadLetters:
    """Publishes dead letters; `on_dead_letter` is called with the host of each, or `UNKNOWN`."""

    def __init__(self, alarm: Alarm, on_dead_letter: Callable[[str], None]) -> None:
        self._alarm = alarm
        self._on_dead_letter = on_dead_letter
        self._exchange: AbstractExchange | None = None
        self._publish_budgets: dict[str, TokenBucket] = {}
        self._log_budgets: dict[str, TokenBucket] = {}

    def connect(self, exchange: AbstractExchange | None) -> None:
        """Publish to this exchange from now on; None: do not publish."""
        self._exchange = exchange

    def forget(self, host: str) -> None:
        """Drop the state of a host."""
        self._publish_budgets.pop(host, None)
        self._log_budgets.pop(host, None)

    async def add(self, host: str, message: DeliveredMessage, reason: str) -> None:
        """Count a message, and publish it if the budget allows; return when that is done."""
        self._on_dead_letter(host)
        if _budget(self._log_budgets, host, 1.0).try_take():
            log.warning(
                "unreadable message",
                extra={"host": host, "key": message.routing_key, "reason": reason[:LONGEST_REASON]},
            )
        if self._exchange is None or self._alarm.reason:
            return
        if _budget(self._publish_budgets, host, AT_ONCE).try_take():
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
        headers=dict(dead_letter_headers(message.routing_key or "", message.body, reason)),
        delivery_mode=DeliveryMode.PERSISTENT,
    )
