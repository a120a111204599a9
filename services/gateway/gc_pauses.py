"""Keep the pauses of Python's garbage collector short on a large heap.

A full collection visits every object that could be part of a reference cycle, and nothing else runs
meanwhile: half a second with 100,000 instances. What is there after a collection that took long is
therefore exempt from later ones. It is freed as before when nothing refers to it any more; only
a cycle that it becomes part of later is not found.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager

# A heap is frozen after a full collection of so long.
LONG_S = 0.005
# Collections of the middle generation until a full one is due: some 20,000 new objects.
MIDDLE_COLLECTIONS = 3
_FULL = 2


@contextmanager
def short_pauses(long_s: float = LONG_S) -> Iterator[None]:
    """Keep pauses short while a loop runs; every object is visited again afterwards."""
    loop, began = asyncio.get_running_loop(), 0.0

    def on_collection(phase: str, info: dict[str, int]) -> None:
        nonlocal began
        if info["generation"] != _FULL:
            return
        if phase == "start":
            began = time.perf_counter()
        elif time.perf_counter() - began >= long_s and not loop.is_closed():
            # Not here: within a collection there is no other. The thread may be any.
            loop.call_soon_threadsafe(_freeze)

    young, middle, full = gc.get_threshold()
    gc.set_threshold(young, middle, MIDDLE_COLLECTIONS)
    gc.callbacks.append(on_collection)
    try:
        yield
    finally:
        gc.callbacks.remove(on_collection)
        gc.set_threshold(young, middle, full)
        gc.unfreeze()


def _freeze() -> None:
    gc.freeze()
    # The next full collection is due when a quarter as much as the last one kept has been added.
    gc.collect()
