from __future__ import annotations

from dataclasses import replace

import pytest

from shared.platform.run.backoff import Backoff, reconnect_backoff


@pytest.mark.parametrize("draw", [0.0, 0.5, 0.999])
@pytest.mark.parametrize(("outage_s", "about_s"), [(1, 0.3), (10, 1.7), (60, 10), (180, 25)])
def test_who_connects_again_waits_for_about_a_sixth_of_the_outage(
    outage_s: float, about_s: float, draw: float
) -> None:
    backoff, away_s, wait_s = replace(reconnect_backoff(), draw=lambda: draw), 0.0, 0.0
    while away_s < outage_s:
        wait_s = backoff.next_s()
        away_s += wait_s

    assert about_s / 2 <= wait_s <= about_s * 2


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
