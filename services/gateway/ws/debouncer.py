"""Runs a job soon after it is triggered, and not too often."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

# Between two runs; what changes meanwhile is one change for the clients.
PAUSE_S = 0.005
# Long runs of a large fleet are less frequent: a pause is at least four times the last run.
REST_FACTOR = 4


class Debouncer:
    """Runs a job at once when triggered after a pause, else at its end."""

    def __init__(self, job: Callable[[], None]) -> None:
        self._job = job
        self._loop = asyncio.get_running_loop()
        self._next_run_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def trigger(self) -> None:
        """Run the job soon; return at once."""
        if self._timer is None:
            self._timer = self._loop.call_at(self._next_run_at, self._run)

    def stop(self) -> None:
        """Cancel a scheduled run."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self) -> None:
        self._timer = None
        started = self._loop.time()
        try:
            self._job()
        finally:
            ended = self._loop.time()
            self._next_run_at = ended + max(PAUSE_S, REST_FACTOR * (ended - started))
