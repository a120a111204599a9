"""Asks hosts, each not more often than is good for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from shared.contracts.errors import FleetError, TemporaryError

log = logging.getLogger(__name__)


class Asker:
    """Asks one question of many hosts: of each one at a time, with a pause after it.

    A request during the pause is answered after it. A temporary failure is tried again for as long
    as the host seems to be there.
    """

    def __init__(
        self,
        question: Callable[[str], Awaitable[None]],
        seems_there: Callable[[str], bool],
        *,
        pause_s: float,
    ) -> None:
        self._question = question
        self._seems_there = seems_there
        self._pause_s = pause_s
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
        try:
            while host in self._due:
                self._due.discard(host)
                await self._put(host)
                await asyncio.sleep(self._pause_s)
        finally:
            del self._tasks[host]

    async def _put(self, host: str) -> None:
        try:
            await self._question(host)
        except FleetError as exc:
            log.info("a host did not answer", extra={"host": host, "reason": str(exc)})
            if isinstance(exc, TemporaryError) and self._seems_there(host):
                self._due.add(host)
