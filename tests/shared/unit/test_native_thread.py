"""A long calculation keeps no other greenthread waiting."""

from __future__ import annotations

import time

import eventlet
import pytest

from shared.platform.run.native_thread import calculate_aside


def busy(seconds: float) -> str:
    ends_at = time.perf_counter() + seconds
    while time.perf_counter() < ends_at:
        pass
    return "done"


def test_greenthreads_go_on_while_a_calculation_takes_its_time() -> None:
    beats: list[float] = []

    def beat() -> None:
        while True:
            beats.append(time.perf_counter())
            eventlet.sleep(0.01)

    heart = eventlet.spawn(beat)
    result = calculate_aside(lambda: busy(0.3))
    heart.kill()

    assert result == "done"
    assert len(beats) >= 5


def test_its_error_is_the_callers() -> None:
    def fail() -> None:
        raise LookupError("nothing there")

    with pytest.raises(LookupError, match="nothing there"):
        calculate_aside(fail)
