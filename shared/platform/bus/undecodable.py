"""What py-amqp raises when it reads a delivery whose properties cannot be decoded.

It decodes them while it reads frames, before anybody can look where the message came from, and the
connection is of no use afterwards. Whoever consumes with it takes these errors for a lost
connection; a test lets hypothesis look for others.
"""

from __future__ import annotations

import struct

from amqp.exceptions import FrameSyntaxError

UNDECODABLE: tuple[type[Exception], ...] = (
    ValueError,
    ArithmeticError,
    LookupError,
    TypeError,
    RecursionError,
    struct.error,
    FrameSyntaxError,
)
