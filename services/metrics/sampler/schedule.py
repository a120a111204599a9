"""When to sample: at multiples of the interval, and never to catch up."""

from __future__ import annotations

import math


def next_round_s(first_s: float, interval_s: float, now_s: float) -> float:
    """Return the time of the next round; those that a slow round has missed are left out."""
    return first_s + (math.floor((now_s - first_s) / interval_s) + 1) * interval_s
