"""Check where a message came from by its delivery, before reading it.

RabbitMQ checks a host's topic permission against nothing but the routing key of its publish.
Measured on 3.10: a host can still reach another's queue through the `CC` and `BCC` headers, a queue
of its own that dead-letters to the exchange, or an exchange of its own that is bound to it (or has
it as alternate exchange). Each leaves a trace in the delivery that the host cannot forge: the
routing key stays that of its own publish, the broker adds `x-death`, the exchange is its own. So
readers accept a message only if all three are as after a direct publish.

Py-amqp decodes a delivery's properties while it reads frames, before anyone can check these traces;
if it fails, the connection is unusable.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from amqp.exceptions import FrameSyntaxError

from shared.contracts.errors import UnreadableMessage
from shared.platform.bus import topology

# The errors that it raises then. Consumers treat them as a lost connection; a test has hypothesis
# look for others.
UNDECODABLE: tuple[type[Exception], ...] = (
    ValueError,
    ArithmeticError,
    LookupError,
    TypeError,
    RecursionError,
    struct.error,
    FrameSyntaxError,
)


def is_direct(
    *, exchange: str, expected_exchange: str, headers: Mapping[str, object] | None
) -> bool:
    """Return whether the message was published straight to the expected exchange.

    If so, the broker has checked its routing key against the publisher's rights.
    """
    return exchange == expected_exchange and not is_dead_letter(headers)


def is_dead_letter(headers: Mapping[str, object] | None) -> bool:
    """Return whether the broker has dead-lettered the message."""
    return "x-death" in (headers or {})


def check_origin(exchange: str, key: str, headers: Mapping[str, object] | None) -> str:
    """Return the host that published a message; raise UnreadableMessage.

    It must have been published directly to the host's own exchange, under a key of the host.
    """
    host = topology.host_of(exchange)
    if not host or not key.startswith(f"{host}.") or is_dead_letter(headers):
        raise UnreadableMessage("of doubtful origin")
    return host


def check_plain_json(
    content_type: object, encoding: object, headers: Mapping[str, object] | None
) -> None:
    """Raise UnreadableMessage if the properties declare anything but plain JSON in UTF-8."""
    if (content_type or "application/json") != "application/json":
        raise UnreadableMessage(f"not JSON but {content_type!r}"[:200])
    if str(encoding or "utf-8").lower() != "utf-8":
        raise UnreadableMessage(f"not UTF-8 but {encoding!r}"[:200])
    if "compression" in (headers or {}):
        raise UnreadableMessage("compressed")
