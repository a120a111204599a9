"""The scale of benchmarks."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class FleetScale:
    """How much the benchmark of a simulated fleet measures, for each number of `hosts`.

    `rounds` is how often everything is read. `changed_share` of the instances change each minute;
    while the stream is measured, at least `streamed_per_s` a second. `window_s` is how long costs
    are measured. Hosts are silent for `silent_intervals` of their heartbeats.
    """

    hosts: tuple[int, ...] = (10, 100)
    instances: int = 100
    clients: int = 20
    rounds: int = 100
    scrapes: int = 5
    changed_share: float = 0.01
    streamed_per_s: float = 10.0
    window_s: float = 15.0
    heartbeat_s: float = 2.0
    sample_s: float = 5.0
    silent_intervals: float = 6.0


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
    fleet: FleetScale = FleetScale()


def from_environment() -> Scale:
    """Return the scale, with the number of instances from `BENCH_INSTANCES`."""
    number = int(os.environ.get("BENCH_INSTANCES", Scale().instances))
    return replace(Scale(), instances=number)


def fleet_from_environment() -> FleetScale:
    """Return the scale of the fleet, with `BENCH_HOSTS` (one or more) and `BENCH_CLIENTS`."""
    hosts = os.environ.get("BENCH_HOSTS", "100").split()
    clients = int(os.environ.get("BENCH_CLIENTS", FleetScale().clients))
    return replace(FleetScale(), hosts=tuple(map(int, hosts)), clients=clients)
