"""Does a job soon after there is need for it, and not too often."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

# Between two runs; what happens meanwhile is one change for the viewers.
PAUSE_S = 0.005
# A fleet so large that a run takes long gets runs less often: one part of work, four of rest.
REST = 4


class Debouncer:
    """Runs a job at once when asked after a rest, else when the rest is over."""

    def __init__(self, job: Callable[[], None]) -> None:
        self._job = job
        self._loop = asyncio.get_running_loop()
        self._rests_until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def ask(self) -> None:
        """Run the job soon; returns at once."""
        if self._timer is None:
            self._timer = self._loop.call_at(self._rests_until, self._run)

    def stop(self) -> None:
        """Run it no more, unless asked again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self) -> None:
        self._timer = None
        begun = self._loop.time()
        try:
            self._job()
        finally:
            ended = self._loop.time()
            self._rests_until = ended + max(PAUSE_S, REST * (ended - begun))
