"""Flow control of a stream, for both ends: how much may be sent, and how much has arrived.

It only counts; sending and waiting are up to each end.
"""

from __future__ import annotations

from shared.contracts.errors import StreamLost, error_from_code
from shared.contracts.streams import MOST_DATA, WINDOW, Credit, End


class SendWindow:
    """The bytes that we may send to the other end."""

    def __init__(self) -> None:
        self.sent = 0
        self._limit = 0

    @property
    def room(self) -> int:
        """How many bytes the next frame may have; 0: the other end must grant credit first."""
        return min(self._limit - self.sent, MOST_DATA)

    def grant(self, credit: Credit) -> None:
        """Add credit; it is never revoked."""
        self._limit = max(self._limit, credit.limit)


class ReceiveWindow:
    """The bytes that the other end may send to us."""

    def __init__(self) -> None:
        self.received = 0
        self._consumed = 0
        self._limit = WINDOW

    @property
    def credit(self) -> Credit:
        """What the other end may send by now."""
        self._limit = self._consumed + WINDOW
        return Credit(self._limit)

    def receive(self, size: int) -> None:
        """Count bytes that arrived; raise StreamLost if they exceed the credit."""
        self.received += size
        if self.received > self._limit:
            raise StreamLost("more bytes arrived than the credit allowed")

    def consume(self, size: int) -> bool:
        """Count bytes that need no room any more; return whether to send credit now.

        It is sent for half a window at a time, so that it costs little beside the bytes.
        """
        self._consumed += size
        return self._consumed + WINDOW - self._limit >= WINDOW // 2

    def finish(self, end: End) -> None:
        """Check that the other end's bytes are complete.

        Raises the error with which it aborted the stream, or StreamLost if bytes are missing.
        """
        if end.code:
            raise error_from_code(end.code, end.values)
        if end.sent != self.received:
            raise StreamLost(f"{self.received} of {end.sent} bytes arrived")
