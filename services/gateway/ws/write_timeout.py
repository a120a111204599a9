"""Notices a peer that does not read what is sent to it.

Neither a closed transport nor one that waits to send ends by itself: its bytes and its descriptor
stay for as long as the peer keeps the connection open.
"""

from __future__ import annotations

from asyncio import Transport

# A peer that takes less than this a second is as good as one that takes nothing.
LEAST_BYTES_PER_S = 1024


class WriteTimeout:
    """Watches one transport; `limit_s` is how long its peer may take next to nothing."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._since: float | None = None
        self._left = 0

    def expired(self, transport: Transport, now: float, *, paused: bool) -> bool:
        """Whether the peer is to be given up; to be asked about once a second.

        While writing is paused, or the transport closes, its buffer can only shrink.
        """
        if not (paused or transport.is_closing()):
            self._since = None
            return False
        left = transport.get_write_buffer_size()
        if self._since is None or left <= self._left - LEAST_BYTES_PER_S * self._limit_s:
            self._since, self._left = now, left
        return now - self._since > self._limit_s
