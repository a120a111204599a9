"""Reads what the gateway has buried."""

from __future__ import annotations

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from tests.support.broker import Vhost
from tests.support.polling import eventually

# Of the body of a dead letter.
BODY_BYTES = 4096


async def dead_letter(vhost: Vhost) -> AbstractIncomingMessage:
    """Return the next dead letter."""
    connection = await aio_pika.connect(vhost.uri)
    async with connection:
        channel = await connection.channel()
        queue = await channel.get_queue("fleet.dead-letters", ensure=False)
        found: list[AbstractIncomingMessage] = []

        async def arrived() -> bool:
            message = await queue.get(no_ack=True, fail=False)
            found.extend([message] if message else [])
            return bool(found)

        await eventually(arrived)
        return found[0]
