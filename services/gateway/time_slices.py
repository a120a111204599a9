"""Long work on the event loop, cut into slices of time, so that others are served in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TypeVar

# Seconds. Everybody waits for the end of a slice, and a pass of the loop may hold several.
SLICE_S = 0.005
# Passes of the loop between two slices. One reads at most 256 KiB from the broker, and what hosts
# report must not pile up there for the length of the work.
PASSES = 3

T = TypeVar("T")


async def in_slices(
    steps: Iterable[T], clock: Callable[[], float] = time.perf_counter
) -> AsyncIterator[T]:
    """Yield each step of the work, and let others go first whenever a slice is used up.

    A step has no bound here: each should take a small part of a slice.
    """
    ends_at = clock() + SLICE_S
    for step in steps:
        yield step
        if clock() >= ends_at:
            for _ in range(PASSES):
                await asyncio.sleep(0)
            ends_at = clock() + SLICE_S
