"""What a delivery shows of where its message came from, before anybody reads that.

RabbitMQ checks a host's topic permission against the routing key of its publish, and only that one.
Measured on 3.10: a host can still reach another's queue by the `CC` and `BCC` headers, by a queue
of its own that dead-letters to the exchange, and by an exchange of its own bound to it (or naming
it as alternate exchange). Each of these leaves a mark in the delivery that the host cannot forge:
the routing key stays that of its own publish, the broker adds `x-death`, the exchange is its own.
So a reader accepts a message only if all three are what an honest publish leaves.

Py-amqp decodes a delivery's properties while it reads frames, before anybody can look at these
marks; where it cannot, the connection is of no use afterwards.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from amqp.exceptions import FrameSyntaxError

# What it raises then. Whoever consumes with it takes these errors for a lost connection; a test
# lets hypothesis look for others.
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

    Its routing key is then one that the broker allowed its publisher.
    """
    return exchange == expected_exchange and not is_dead_letter(headers)


def is_dead_letter(headers: Mapping[str, object] | None) -> bool:
    """Return whether the broker took the message from a queue in which it had died."""
    return "x-death" in (headers or {})
