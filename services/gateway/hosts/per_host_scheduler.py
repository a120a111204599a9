"""Schedules requests to hosts, with a pause for each and a limit on all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from shared.contracts.errors import FleetError, TemporaryError
from shared.platform.run.backoff import Backoff
from shared.platform.token_bucket import TokenBucket

# For all hosts together; the first `AT_ONCE` are requested without delay.
MOST_PER_S = 34.0
AT_ONCE = 20

log = logging.getLogger(__name__)


class PerHostScheduler:
    """Sends one kind of request to many hosts: to each one at a time, with a pause after it.

    What is scheduled during the pause is sent after it. A temporary failure is retried with a
    growing pause for as long as `may_retry` allows. All hosts together get at most `most_per_s`
    requests: after a broker restart a thousand hosts take half a minute.
    """

    def __init__(
        self,
        request: Callable[[str], Awaitable[None]],
        may_retry: Callable[[str], bool],
        *,
        pause_s: float,
        most_per_s: float = MOST_PER_S,
    ) -> None:
        self._request = request
        self._may_retry = may_retry
        self._pause_s = pause_s
        self._bucket = TokenBucket(most_per_s, AT_ONCE)
        self._due: set[str] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def schedule(self, host: str) -> None:
        """Send the request soon; return at once."""
        self._due.add(host)
        if host not in self._tasks:
            self._tasks[host] = asyncio.create_task(self._run(host))

    async def close(self) -> None:
        """Cancel all requests."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, host: str) -> None:
        backoff = Backoff(self._pause_s, 10 * self._pause_s, growth=1.5)
        try:
            while host in self._due:
                await asyncio.sleep(self._bucket.take(1))
                self._due.discard(host)
                succeeded = await self._try_request(host)
                await asyncio.sleep(self._pause_s if succeeded else backoff.next_s())
        finally:
            del self._tasks[host]

    async def _try_request(self, host: str) -> bool:
        try:
            await self._request(host)
        except FleetError as exc:
            log.info("request to host failed", extra={"host": host, "reason": str(exc)})
            if isinstance(exc, TemporaryError) and self._may_retry(host):
                self._due.add(host)
            return False
        return True
