"""The one native thread of a process of greenthreads, for what must not block the others: SQL.

One, because eventlet has patched the locks inside SQLAlchemy, and two native threads must never
wait for the same green lock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import eventlet
from eventlet import patcher, tpool

T = TypeVar("T")

_POLL_S = 0.01


def run_in_native_thread(work: Callable[[], T]) -> T:
    """Run work in the process's one native thread; only the caller's greenthread waits."""
    tpool.set_num_threads(1)
    result: T = tpool.execute(work)
    return result


def calculate_aside(work: Callable[[], T]) -> T:
    """Run a calculation of seconds in a native thread of its own; other greenthreads go on.

    It must neither wait for anything nor log.
    """
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as exc:  # noqa: BLE001 - raised again by the caller
            failures.append(exc)

    thread = patcher.original("threading").Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        eventlet.sleep(_POLL_S)
    if failures:
        raise failures[0]
    return results[0]
