"""Time-outs for clients that do not read what is sent to them.

Nearly every message is sent at once. A timer for each costs as much as the sending itself with many
clients, so one timer checks all pending sends. Below that, neither a closed transport nor one with
a full buffer ends by itself: its bytes and its descriptor stay for as long as the client keeps the
connection open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

# A client that reads less than this per second counts as one that reads nothing.
LEAST_BYTES_PER_S = 1024


class SendTimeout:
    """Bounds sends with one shared timer: each may take `limit_s`, and less than twice that."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._new: set[asyncio.Timeout] = set()
        self._old: set[asyncio.Timeout] = set()
        self._scheduled = False

    async def bound(self, work: Awaitable[None]) -> None:
        """Await the work; raise TimeoutError if it takes too long."""
        async with asyncio.timeout(None) as timeout:
            self._new.add(timeout)
            if not self._scheduled:
                self._schedule()
            try:
                await work
            finally:
                self._new.discard(timeout)
                self._old.discard(timeout)

    def _schedule(self) -> None:
        self._scheduled = True
        asyncio.get_running_loop().call_later(self._limit_s, self._expire_old)

    def _expire_old(self) -> None:
        now = asyncio.get_running_loop().time()
        for timeout in self._old:
            timeout.reschedule(now)
        self._new, self._old = set(), self._new
        self._scheduled = False
        if self._old:
            self._schedule()


class WriteTimeout:
    """Watches one transport; `limit_s` is how long its client may read next to nothing."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._since: float | None = None
        self._buffered = 0

    def expired(self, transport: asyncio.Transport, now: float, *, paused: bool) -> bool:
        """Return whether to abort the connection; call this about once a second.

        While writing is paused, or the transport closes, its buffer can only shrink.
        """
        if not (paused or transport.is_closing()):
            self._since = None
            return False
        buffered = transport.get_write_buffer_size()
        if self._since is None or buffered <= self._buffered - LEAST_BYTES_PER_S * self._limit_s:
            self._since, self._buffered = now, buffered
        return now - self._since > self._limit_s
