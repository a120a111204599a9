"""Fleets so small that a benchmark of them shows nothing but that it still runs."""

from __future__ import annotations

from benchmarks.scale import FleetScale

TINY_FLEET = FleetScale(
    hosts=(2, 3),
    instances=3,
    clients=2,
    rounds=2,
    scrapes=1,
    window_s=1.0,
    heartbeat_s=0.3,
    sample_s=0.3,
    silent_intervals=12.0,
)
