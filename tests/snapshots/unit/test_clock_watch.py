"""Whether things are as old as the machine's clock says."""

from __future__ import annotations

import pytest

from services.snapshots.clock_watch import JUMP_S, START_S, ClockWatch

ROUND_S = 600.0


class Bench:
    """A watch that looks every ten minutes; `wall` is ahead of the other clock by `offset`."""

    def __init__(self) -> None:
        self.now, self.offset = 5.0, 1_796_000_000.0
        self.watch = ClockWatch(lambda: self.now + self.offset, lambda: self.now)

    def rounds(self, seconds: float, drift_s: float = 0.0) -> list[bool]:
        """Look for so long; return what was seen each time."""
        seen = []
        for _ in range(round(seconds / ROUND_S)):
            self.now += ROUND_S
            self.offset += drift_s
            seen.append(self.watch.may_delete())
        return seen


@pytest.fixture
def settled() -> Bench:
    """A watch an hour after its start."""
    bench = Bench()
    bench.rounds(START_S)
    return bench


def test_nothing_is_deleted_in_the_first_hour_in_which_hosts_are_heard() -> None:
    seen = Bench().rounds(2 * START_S)

    assert (seen.index(True) + 1) * ROUND_S == START_S
    assert all(seen[seen.index(True) :])


@pytest.mark.parametrize("days", [31, -31, 1 / 24])
def test_after_a_jump_nothing_is_deleted_for_a_day(settled: Bench, days: float) -> None:
    settled.offset += days * 86400

    seen = settled.rounds(JUMP_S + 2 * ROUND_S)

    assert seen == [False] * round(JUMP_S / ROUND_S) + [True, True]


def test_a_clock_that_is_put_right_again_is_watched_for_another_day(settled: Bench) -> None:
    settled.offset += 31 * 86400
    settled.rounds(JUMP_S / 2)
    settled.offset -= 31 * 86400

    assert not any(settled.rounds(JUMP_S))
    assert all(settled.rounds(JUMP_S))


def test_a_clock_that_is_steered_is_believed(settled: Bench) -> None:
    assert all(settled.rounds(JUMP_S, drift_s=0.3))
