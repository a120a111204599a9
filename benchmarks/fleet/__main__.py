"""Print the table for the numbers of hosts in `BENCH_HOSTS`: `make bench-fleet HOSTS="10 100"`."""

from __future__ import annotations

from benchmarks.fleet.benchmark import measure, table
from benchmarks.scale import fleet_from_environment

if __name__ == "__main__":
    for line in table(measure(fleet_from_environment())):
        print(line)
