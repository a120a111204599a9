"""Asks hosts, each not more often than is good for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from services.gateway.token_bucket import TokenBucket
from shared.contracts.errors import FleetError, TemporaryError
from shared.platform.run.backoff import Backoff

# Of all hosts; the first so many are asked at once.
MOST_PER_S = 34.0
AT_ONCE = 20

log = logging.getLogger(__name__)


class PerHostScheduler:
    """Asks one question of many hosts: of each one at a time, with a pause after it.

    A request during the pause is answered after it. A temporary failure is tried again for as long
    as the host seems to be there, less and less often. Of all hosts together no more is asked than
    `most_per_s`: when a broker is back a thousand of them take half a minute.
    """

    def __init__(
        self,
        question: Callable[[str], Awaitable[None]],
        seems_there: Callable[[str], bool],
        *,
        pause_s: float,
        most_per_s: float = MOST_PER_S,
    ) -> None:
        self._question = question
        self._seems_there = seems_there
        self._pause_s = pause_s
        self._turns = TokenBucket(most_per_s, AT_ONCE)
        self._due: set[str] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def ask(self, host: str) -> None:
        """Ask soon; returns at once."""
        self._due.add(host)
        if host not in self._tasks:
            self._tasks[host] = asyncio.create_task(self._serve(host))

    async def close(self) -> None:
        """Ask nothing more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, host: str) -> None:
        backoff = Backoff(self._pause_s, 10 * self._pause_s, growth=1.5)
        try:
            while host in self._due:
                await asyncio.sleep(self._turns.take(1))
                self._due.discard(host)
                answered = await self._put(host)
                await asyncio.sleep(self._pause_s if answered else backoff.next_s())
        finally:
            del self._tasks[host]

    async def _put(self, host: str) -> bool:
        try:
            await self._question(host)
        except FleetError as exc:
            log.info("a host did not answer", extra={"host": host, "reason": str(exc)})
            if isinstance(exc, TemporaryError) and self._seems_there(host):
                self._due.add(host)
            return False
        return True
