from __future__ import annotations

import pytest

from benchmarks.figures import Figure, Target, at_least, at_most, centile


@pytest.mark.parametrize(
    ("target", "value", "verdict"),
    [
        (at_most(15, "ms"), 15.0, "met"),
        (at_most(15, "ms"), 15.1, "missed"),
        (at_least(200, "times"), 200.0, "met"),
        (at_least(200, "times"), 199.9, "missed"),
        (None, 1.0, ""),
    ],
)
def test_a_value_is_compared_with_its_target(
    target: Target | None, value: float, verdict: str
) -> None:
    assert Figure("a list", "1 ms", value=value, target=target).verdict == verdict


def test_a_line_of_the_table_has_all_there_is_to_know() -> None:
    figure = Figure("a list", "1 ms", "pylxd: 600 ms", 600.0, at_least(200, "times faster"))

    assert str(figure) == "| a list | >= 200 times faster | 1 ms | pylxd: 600 ms | met |"


@pytest.mark.parametrize(("which", "expected"), [(50, 51.0), (99, 100.0)])
def test_so_many_of_a_hundred_are_below_a_centile(which: int, expected: float) -> None:
    durations_ms = [float(number) for number in range(100, 0, -1)]

    assert centile(durations_ms, which) == expected


def test_the_only_duration_is_every_centile() -> None:
    assert centile([7.0], 99) == 7.0
