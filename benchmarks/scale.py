"""How much a benchmark measures."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Scale:
    """So many of everything.

    `rounds` are those of what takes milliseconds, `slow_rounds` those of what takes a good part of
    a second. `created` are the instances created at once. `watched_s` is how long processes are
    watched that do hardly anything.
    """

    instances: int = 62
    rounds: int = 400
    slow_rounds: int = 20
    created: int = 10
    callers: int = 16
    viewers: int = 500
    watched_s: float = 60.0
    scraped_hosts: int = 100


def asked() -> Scale:
    """Return the scale for figures; `BENCH_INSTANCES` makes the fleet smaller or larger."""
    number = int(os.environ.get("BENCH_INSTANCES", Scale().instances))
    return replace(Scale(), instances=number)
