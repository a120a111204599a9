"""The one native thread of a process of greenthreads, for what must not block the others: SQL.

One, because eventlet has patched the locks inside SQLAlchemy, and two native threads must never
wait for the same green lock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from eventlet import tpool

T = TypeVar("T")


def run_in_native_thread(work: Callable[[], T]) -> T:
    """Run work in the process's one native thread; only the caller's greenthread waits."""
    tpool.set_num_threads(1)
    result: T = tpool.execute(work)
    return result
