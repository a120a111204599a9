"""An event that wakes one greenthread."""

from __future__ import annotations

import eventlet

from services.lxd_worker.greenthreads import AutoResetEvent


def waits(event: AutoResetEvent) -> bool:
    """Whether waiting for it takes any time."""
    with eventlet.Timeout(0.01, exception=False):
        event.wait()
        return False
    return True


def test_an_event_that_was_set_before_counts_once_however_often_it_was_set() -> None:
    event = AutoResetEvent()
    event.set()
    event.set()

    assert not waits(event)
    assert waits(event)


def test_waiting_for_an_event_may_time_out() -> None:
    event = AutoResetEvent()

    event.wait(timeout_s=0.01)
    event.set()

    assert not waits(event)


def test_an_event_wakes_whoever_waits() -> None:
    event = AutoResetEvent()
    waiting = eventlet.spawn(event.wait)
    eventlet.sleep(0)

    event.set()

    waiting.wait()
    assert waiting.dead
    assert waits(event)
