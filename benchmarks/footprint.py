"""Measure an idle fleet: the memory and CPU of its services.

CPU is that of the gateway and of one host's services together, by the kernel's accounting, with a
sample every 5 s. LXD's and the broker's CPU are listed beside it: LXD also works for its
containers, and the broker's Erlang machine is never quite idle.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

import psutil

from benchmarks.costs import CpuUsage, measure_cpu, resident_mb
from benchmarks.figures import Figure, at_most
from benchmarks.ground import HOST, Ground, alone

SERVICES = ("gateway", f"worker-{HOST}", f"sampler-{HOST}")
MOST_MB = {"gateway": 150, f"worker-{HOST}": 100, f"sampler-{HOST}": 80}
MOST_PERCENT = 3


def figures(ground: Ground) -> Iterator[Figure]:
    """Measure the idle services' CPU, then their memory."""
    node = ground.fleet.vhost.broker.node
    processes = {name: ground.process(name) for name in SERVICES}
    processes |= {"LXD": ground.loaded.process, "RabbitMQ": psutil.Process(node.pid)}
    yield _idle(ground, processes)
    for name in SERVICES:
        size_mb = resident_mb(processes[name])
        most = at_most(MOST_MB[name], "MB")
        what = f"resident memory of `{name}`, {ground.scale.instances} instances"
        yield Figure(what, f"{size_mb:.0f} MB", "", size_mb, most)


def _idle(ground: Ground, processes: dict[str, psutil.Process]) -> Figure:
    with ExitStack() as stack:
        usages = {name: stack.enter_context(measure_cpu(each)) for name, each in processes.items()}
        time.sleep(ground.scale.watched_s)
    percent = sum(usages[name].percent for name in SERVICES)
    return Figure(
        f"idle CPU of all services, {ground.scale.instances} instances, every 5 s",
        f"{percent:.2f} % of a core ({_join_percents(usages, SERVICES)})",
        _join_percents(usages, ("LXD", "RabbitMQ")),
        percent,
        at_most(MOST_PERCENT, "% of a core"),
    )


def _join_percents(usages: dict[str, CpuUsage], names: tuple[str, ...]) -> str:
    return ", ".join(f"{name} {usages[name].percent:.2f}" for name in names)


if __name__ == "__main__":
    alone(figures)
