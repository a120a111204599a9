"""What a fleet costs that nobody uses: memory, and CPU while its services only watch.

CPU is that of the services of one host and the gateway together, by the kernel's accounts; samples
are taken every 5 s. LXD's and the broker's CPU are shown beside it: LXD also does what its
containers make it do, and the broker is an Erlang machine that never quite sleeps.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

import psutil

from benchmarks.costs import Bill, billed, resident_mb
from benchmarks.figures import Figure, at_most
from benchmarks.ground import HOST, Ground, alone

SERVICES = ("gateway", f"worker-{HOST}", f"sampler-{HOST}")
MOST_MB = {"gateway": 150, f"worker-{HOST}": 100, f"sampler-{HOST}": 80}
MOST_PERCENT = 3


def figures(ground: Ground) -> Iterator[Figure]:
    """Watch the services do nothing, then look how large they are."""
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
        bills = {name: stack.enter_context(billed(each)) for name, each in processes.items()}
        time.sleep(ground.scale.watched_s)
    percent = sum(bills[name].percent for name in SERVICES)
    return Figure(
        f"idle CPU of all services, {ground.scale.instances} instances, every 5 s",
        f"{percent:.2f} % of a core ({_listed(bills, SERVICES)})",
        _listed(bills, ("LXD", "RabbitMQ")),
        percent,
        at_most(MOST_PERCENT, "% of a core"),
    )


def _listed(bills: dict[str, Bill], names: tuple[str, ...]) -> str:
    return ", ".join(f"{name} {bills[name].percent:.2f}" for name in names)


if __name__ == "__main__":
    alone(figures)
