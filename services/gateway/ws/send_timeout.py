"""Bounds how long a viewer may take for a message, without a timer for each.

Nearly every message is taken at once. A timer that is started and cancelled around each costs a
crowd of viewers about as much as the sending; so one timer looks at all that are being sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable


class SendTimeout:
    """Gives a piece of work at least `limit_s` and less than twice that."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._fresh: set[asyncio.Timeout] = set()
        self._old: set[asyncio.Timeout] = set()
        self._watched = False

    async def bound(self, work: Awaitable[None]) -> None:
        """Do the work; raise TimeoutError when it takes too long."""
        async with asyncio.timeout(None) as patience:
            self._fresh.add(patience)
            if not self._watched:
                self._watch()
            try:
                await work
            finally:
                self._fresh.discard(patience)
                self._old.discard(patience)

    def _watch(self) -> None:
        self._watched = True
        asyncio.get_running_loop().call_later(self._limit_s, self._look)

    def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        for patience in self._old:
            patience.reschedule(now)
        self._fresh, self._old = set(), self._fresh
        self._watched = False
        if self._old:
            self._watch()
