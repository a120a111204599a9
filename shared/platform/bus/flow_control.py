"""How much of a stream may be sent, and what has come: the rules that both ends share.

Counts only; who sends and who waits is each end's own affair.
"""

from __future__ import annotations

from shared.contracts.errors import StreamLost, rebuilt
from shared.contracts.streams import MOST_DATA, WINDOW, Credit, End


class Outgoing:
    """Our bytes on their way to the other end."""

    def __init__(self) -> None:
        self.sent = 0
        self._limit = 0

    @property
    def room(self) -> int:
        """How many bytes the next frame may have; 0: the other end has to give credit first."""
        return min(self._limit - self.sent, MOST_DATA)

    def granted(self, credit: Credit) -> None:
        """Take note of credit; it is never taken back."""
        self._limit = max(self._limit, credit.limit)


class Incoming:
    """The other end's bytes on their way to us."""

    def __init__(self) -> None:
        self.received = 0
        self._dealt_with = 0
        self._limit = WINDOW

    @property
    def credit(self) -> Credit:
        """What the other end may send by now."""
        self._limit = self._dealt_with + WINDOW
        return Credit(self._limit)

    def arrived(self, size: int) -> None:
        """Count bytes that came; raise StreamLost where there was no room for them."""
        self.received += size
        if self.received > self._limit:
            raise StreamLost("more bytes came than there was room for")

    def dealt_with(self, size: int) -> bool:
        """Count bytes that need no room any more; tell whether the other end should know now.

        It is told of half a window at a time, so that credit costs little beside the bytes.
        """
        self._dealt_with += size
        return self._dealt_with + WINDOW - self._limit >= WINDOW // 2

    def ended(self, end: End) -> None:
        """Take note of the end.

        Raises the error with which the stream was called off, StreamLost where other bytes came.
        """
        if end.code:
            raise rebuilt(end.code, end.values)
        if end.sent != self.received:
            raise StreamLost(f"{self.received} bytes came of {end.sent}")
