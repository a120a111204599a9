"""Set up benchmarks: an LXD with running containers, and a fleet of real services on it.

All of it is started for the purpose and removed afterwards; existing instances, daemons and brokers
are not touched.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.figures import Figure, show
from benchmarks.scale import Scale, from_environment
from deploy.local import processes
from deploy.local.services import loopback_binds
from tests.support.broker import fresh_vhost, shared_broker
from tests.support.fleet import Fleet, fleet_of
from tests.support.lxd import Instances, OwnLxd, daemon_of_its_own
from tests.support.polling import wait_until

HOST = "h1"
LISTED_WITHIN_S = 30.0
# So that small machines accept the instances that benchmarks create.
ROOMY = {"FLEET_OVERCOMMIT_CPU": "100"}
# How many containers are deleted at once.
REMOVERS = 4


@dataclass(frozen=True, slots=True)
class Loaded:
    """An LXD with `scale.instances` running containers, whose names are `names`."""

    lxd: OwnLxd
    names: list[str]
    scale: Scale

    @property
    def process(self) -> psutil.Process:
        """The daemon."""
        return psutil.Process(self.lxd.call("GET", "/1.0")["environment"]["server_pid"])


@dataclass(frozen=True, slots=True)
class Ground:
    """A fleet of one host, `h1`, all on this machine."""

    loaded: Loaded
    fleet: Fleet

    @property
    def scale(self) -> Scale:
        """How much is to be measured."""
        return self.loaded.scale

    @property
    def lxd(self) -> OwnLxd:
        """The host's daemon."""
        return self.loaded.lxd

    def process(self, service: str) -> psutil.Process:
        """Return a service's process, such as `worker-h1`."""
        return psutil.Process(self.fleet.processes[service].pid)


@contextmanager
def loaded_lxd(scale: Scale) -> Iterator[Loaded]:
    """Start a daemon and its containers."""
    with daemon_of_its_own() as lxd:
        containers = Instances(lxd, "bench")
        names = [containers.launch(f"c{number}") for number in range(scale.instances)]
        try:
            yield Loaded(lxd, names, scale)
        finally:
            with ThreadPoolExecutor(REMOVERS) as removers:
                list(removers.map(containers.delete, names))


@contextmanager
def fleet_on(loaded: Loaded) -> Iterator[Ground]:
    """Start the services; yield once the gateway lists all containers with measurements."""
    binds = loopback_binds(processes.free_port(), ipv6=False)
    with (
        tempfile.TemporaryDirectory() as directory,
        shared_broker() as broker,
        fresh_vhost(broker) as vhost,
        fleet_of({HOST: loaded.lxd}, vhost, Path(directory), binds, **ROOMY) as fleet,
    ):
        wait_until(
            lambda: _count_measured(fleet) == loaded.scale.instances, within_s=LISTED_WITHIN_S
        )
        yield Ground(loaded, fleet)


def alone(figures: Callable[[Ground], Iterator[Figure]]) -> None:
    """Run one benchmark on a fleet of its own."""
    with loaded_lxd(from_environment()) as loaded, fleet_on(loaded) as ground:
        show(figures(ground))


def _count_measured(fleet: Fleet) -> int:
    running = fleet.http.get("/api/instances?status=Running").raise_for_status().json()
    return sum(instance["ipv4"] is not None for instance in running)
