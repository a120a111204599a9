"""Schedule rounds at multiples of the interval, without catching up."""

from __future__ import annotations

import math


def next_round_s(first_s: float, interval_s: float, now_s: float) -> float:
    """Return the time of the next round; skip those that a slow round has missed."""
    return first_s + (math.floor((now_s - first_s) / interval_s) + 1) * interval_s
