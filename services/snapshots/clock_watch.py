"""Whether ages may be told by this machine's clock, before anything is deleted for its age.

A clock that jumps forward by a month makes everything a month older. So it is compared with the
monotonic clock, now and then: after a jump nothing is deleted for a day, in which somebody can put
the clock right. A jump from before the start does not show; so that hosts can be heard first, all
is kept for an hour then.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

START_S, JUMP_S = 3600.0, 24 * 3600.0
# Clocks that are kept by NTP are steered by less between two looks.
MOST_DRIFT_S = 60.0


class ClockWatch:
    """Watches a clock, `wall`, by another one that never jumps."""

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._offset = wall() - monotonic()
        self._trusted_at = monotonic() + START_S

    def may_delete(self) -> bool:
        """Look at the clock; return whether things are as old as it says."""
        now = self._monotonic()
        offset = self._wall() - now
        jumped_s, self._offset = offset - self._offset, offset
        if abs(jumped_s) > MOST_DRIFT_S:
            self._trusted_at = max(self._trusted_at, now + JUMP_S)
            log.error(
                "the clock has jumped: nothing is deleted for its age for a day",
                extra={"jumped_s": round(jumped_s)},
            )
        return now >= self._trusted_at
