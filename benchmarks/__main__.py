"""Run all benchmarks one after the other, and print one table: `make bench`.

Sampling is measured before the fleet starts, whose own sampler would use the same LXD; benchmarks
without LXD come last.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import (
    console,
    create_instance,
    flood,
    footprint,
    list_instances,
    list_vms,
    monitor_viewers,
    policies,
    policy_plan,
    policy_snapshots,
    round_trip,
    sampling,
    scrape,
    start_instance,
    stream_latency,
    stream_viewers,
)
from benchmarks.figures import Figure, show
from benchmarks.fleet import benchmark as fleet
from benchmarks.ground import fleet_on, loaded_lxd
from benchmarks.scale import Scale, from_environment

ON_A_FLEET = (
    footprint,
    list_instances,
    start_instance,
    create_instance,
    policy_snapshots,
    round_trip,
    stream_latency,
    console,
    monitor_viewers,
)
# The memory of a plan shows only where none has been freed before.
BY_THEMSELVES = (policy_plan, policies, stream_viewers, scrape, list_vms, flood, fleet)


def figures(scale: Scale) -> Iterator[Figure]:
    """Set everything up, measure, and clean up."""
    with loaded_lxd(scale) as loaded:
        yield from sampling.figures(loaded)
        with fleet_on(loaded) as ground:
            for benchmark in ON_A_FLEET:
                yield from benchmark.figures(ground)
    for benchmark in BY_THEMSELVES:
        yield from benchmark.figures(scale)


if __name__ == "__main__":
    show(figures(from_environment()))
