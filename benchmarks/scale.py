"""The scale of benchmarks."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Scale:
    """How much benchmarks measure.

    `rounds` are for what takes milliseconds, `slow_rounds` for what takes a good part of a second.
    `created` is how many instances are created at once. `watched_s` is how long idle processes are
    measured.
    """

    instances: int = 62
    rounds: int = 400
    slow_rounds: int = 20
    created: int = 10
    callers: int = 16
    viewers: int = 500
    watched_s: float = 60.0
    scraped_hosts: int = 100


def from_environment() -> Scale:
    """Return the scale, with the number of instances from `BENCH_INSTANCES`."""
    number = int(os.environ.get("BENCH_INSTANCES", Scale().instances))
    return replace(Scale(), instances=number)
