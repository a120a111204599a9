"""The entrypoint that calls the sampler: at once, then at multiples of the interval.

nameko's own timer uses the wall clock and catches up on missed rounds; after a minute with a slow
LXD it would send requests without a pause.
"""

from __future__ import annotations

import math
import time

from eventlet import Timeout
from nameko.timer import Timer


class IntervalTimer(Timer):  # type: ignore[misc]
    """Calls at fixed intervals, never during a call; skips missed rounds."""

    def _run(self) -> None:
        first_s = due_s = time.monotonic()
        while not self._stops_before(due_s):
            self.handle_timer_tick()
            self.worker_complete.wait()
            self.worker_complete.reset()
            due_s = next_round_s(first_s, self.interval, time.monotonic())

    def _stops_before(self, due_s: float) -> bool:
        with Timeout(max(due_s - time.monotonic(), 0), exception=False):
            self.should_stop.wait()
        return bool(self.should_stop.ready())


rounds = IntervalTimer.decorator


def next_round_s(first_s: float, interval_s: float, now_s: float) -> float:
    """Return the time of the next round; skip those that a slow round has missed."""
    return first_s + (math.floor((now_s - first_s) / interval_s) + 1) * interval_s
