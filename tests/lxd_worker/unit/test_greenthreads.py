"""An event that wakes one greenthread."""

from __future__ import annotations

import eventlet

from services.lxd_worker.greenthreads import AutoResetEvent, GreenthreadGroup


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


def test_work_that_is_started_goes_on_before_its_caller_until_it_waits() -> None:
    done: list[str] = []

    def work(name: str) -> None:
        done.append(f"{name} begins")
        eventlet.sleep(0.01)
        done.append(f"{name} ends")

    group = GreenthreadGroup()
    group.start(work, "work")
    done.append("its caller goes on")
    eventlet.sleep(0.05)
    group.kill_all()

    assert done == ["work begins", "its caller goes on", "work ends"]
