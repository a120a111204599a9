from __future__ import annotations

from math import inf

import pytest

from benchmarks.fleet.benchmark import table
from benchmarks.fleet.goals import CPU, GOALS, LOST, Goal, Measured

BOTH = Goal("ms (p50 / p99)", (3, 30), (1.5, 10))
HALF = Goal("ms (p50 / p99)", (2, inf), (1, inf))
NONE = Goal("lost", (0,))


@pytest.mark.parametrize(
    ("goal", "values", "verdict"),
    [
        (BOTH, (1.5, 10), "aim"),
        (BOTH, (1.5, 11), "met"),
        (BOTH, (3, 30), "met"),
        (BOTH, (1, 31), "missed"),
        (HALF, (1, 1000), "aim"),
        (HALF, (3, 3), "missed"),
        (NONE, (0,), "met"),
        (NONE, (1,), "missed"),
        (Goal("s"), (1000,), ""),
    ],
)
def test_a_verdict_is_about_all_values_that_have_a_bound(
    goal: Goal, values: tuple[float, ...], verdict: str
) -> None:
    assert goal.verdict(values) == verdict


def test_a_row_shows_all_sizes_and_how_the_figure_grows() -> None:
    measured = {100: {CPU: Measured((20.0,))}, 1000: {CPU: Measured((50.0,), "once")}}

    row = next(line for line in table(measured) if CPU in line)

    figures = "| % of a core | 60 | 35 | 20 | 50 (once) | 2.5 times (<= 10) | met |"
    assert row == f"| {CPU} {figures}"


def test_what_a_collapsed_gateway_did_not_answer_is_missed() -> None:
    lines = list(table({10: {}}))

    assert len(lines) == 2 + len(GOALS)
    assert (
        next(line for line in lines if LOST in line)
        == f"| {LOST} | lost | 0 |  | not measured |  | missed |"
    )


def test_a_bound_on_the_median_only_says_so() -> None:
    target = HALF.target()

    assert target is not None
    assert target.text == "<= 2 / - ms (p50 / p99)"
