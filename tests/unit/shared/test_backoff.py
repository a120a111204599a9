from __future__ import annotations

import pytest

from shared.platform.backoff import Backoff, reconnecting


def longest_wait_after(outage_s: float) -> float:
    """Return for how long a host waits at the most when its broker is back after an outage."""
    backoff, away_s, wait_s = reconnecting(), 0.0, 0.0
    while away_s < outage_s:
        wait_s = backoff.next_s()
        away_s += wait_s
    return wait_s


@pytest.mark.parametrize(
    ("outage_s", "least_s", "most_s"), [(1, 0.2, 1.0), (10, 0.5, 3.0), (60, 3, 13), (600, 15, 30)]
)
def test_who_connects_again_waits_for_a_part_of_the_outage(
    outage_s: float, least_s: float, most_s: float
) -> None:
    waits = [longest_wait_after(outage_s) for _ in range(50)]

    assert least_s <= max(waits) <= most_s


@pytest.mark.parametrize(
    ("draw", "waits"),
    [(0.0, [0.5, 1.0, 2.0, 2.5, 2.5]), (0.5, [0.75, 1.5, 3.0, 3.75, 3.75])],
)
def test_waits_grow_up_to_a_bound_and_half_of_each_is_drawn(
    draw: float, waits: list[float]
) -> None:
    backoff = Backoff(first_s=1.0, most_s=5.0, draw=lambda: draw)

    assert [backoff.next_s() for _ in waits] == waits


def test_after_a_success_the_waits_begin_anew() -> None:
    backoff = Backoff(first_s=1.0, most_s=5.0, draw=lambda: 0.0)
    backoff.next_s()
    backoff.next_s()

    backoff.reset()

    assert backoff.next_s() == 0.5


def test_two_that_fail_together_do_not_come_back_together() -> None:
    waits = {Backoff().next_s() for _ in range(100)}

    assert len(waits) > 90
