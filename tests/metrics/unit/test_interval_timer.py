from __future__ import annotations

import pytest

from services.metrics.sampler.interval_timer import next_round_s


@pytest.mark.parametrize(
    ("now_s", "due_s"),
    [
        (100.0, 105.0),
        (100.3, 105.0),
        (104.999, 105.0),
        (105.0, 110.0),  # a round that took its whole interval misses the next
        (119.0, 120.0),  # a slow one misses several
    ],
)
def test_the_next_round_keeps_the_beat_of_the_first(now_s: float, due_s: float) -> None:
    assert next_round_s(first_s=100.0, interval_s=5.0, now_s=now_s) == due_s
