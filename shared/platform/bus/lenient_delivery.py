"""Have py-amqp deliver messages whose properties it cannot decode, instead of losing a connection.

What a host publishes may have any properties, and py-amqp decodes them while it reads frames. A
message in a queue would come back at each connection, and end it again. So a message that cannot be
decoded is delivered with `UNDECODABLE_PROPERTY` as its only property, for its reader to drop.

`install` is for a process that consumes what hosts publish; it changes all connections of py-amqp.
"""

from __future__ import annotations

from typing import Any

import amqp.method_framing
from amqp.basic_message import Message

from shared.platform.bus.delivery import UNDECODABLE

UNDECODABLE_PROPERTY = "fleet-undecodable"


class LenientMessage(Message):  # type: ignore[misc]
    """A message whose properties may be anything."""

    properties: dict[str, Any]

    def _load_properties(self, class_id: int, buf: Any, offset: int) -> Any:
        """Load the properties; note why they cannot be loaded."""
        try:
            return super()._load_properties(class_id, buf, offset)
        except UNDECODABLE as exc:
            self.properties = {UNDECODABLE_PROPERTY: repr(exc)[:200]}
            return offset


def install() -> None:
    """Use `LenientMessage` for all deliveries of this process."""
    amqp.method_framing.Message = LenientMessage
