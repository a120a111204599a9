"""Bells of greenthreads."""

from __future__ import annotations

import eventlet

from services.lxd_worker.greenthreads import AutoResetEvent


def waits(bell: AutoResetEvent) -> bool:
    """Whether waiting for the bell takes any time."""
    with eventlet.Timeout(0.01, exception=False):
        bell.wait()
        return False
    return True


def test_a_bell_that_was_rung_before_is_heard_once_however_often_it_was_rung() -> None:
    bell = AutoResetEvent()
    bell.ring()
    bell.ring()

    assert not waits(bell)
    assert waits(bell)


def test_waiting_for_a_bell_may_have_an_end() -> None:
    bell = AutoResetEvent()

    bell.wait(timeout_s=0.01)
    bell.ring()

    assert not waits(bell)


def test_a_bell_wakes_whoever_waits() -> None:
    bell = AutoResetEvent()
    waiting = eventlet.spawn(bell.wait)
    eventlet.sleep(0)

    bell.ring()

    waiting.wait()
    assert waiting.dead
    assert waits(bell)
