"""A sampler without a host: readings to start from, and fakes of what it reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from services.metrics.sampler.kernel_counters import (
    Details,
    DiskTraffic,
    InstanceEnded,
    InstanceRefused,
    Space,
    Traffic,
    Usage,
)
from services.metrics.sampler.lxd_instances import InstanceWithState, Nic
from services.metrics.sampler.protocols import HostNetwork
from services.metrics.sampler.reading import CGROUP, HostReading, Identity, InstanceReading, Pools
from services.metrics.sampler.sanitize import Dropped
from shared.contracts.errors import LxdUnavailable
from shared.lxd.models import (
    CpuState,
    InstanceState,
    LifecycleEvent,
    LifecycleMetadata,
    MemoryState,
    NetworkCounters,
)

S = 1_000_000_000

HOST = HostReading(
    cpus=2,
    cpu_busy_s=50.0,
    cpu_total_s=200.0,
    memory_total=1000,
    memory_used=400,
    root_space=Space(used=3, total=9),
    load_1=0.5,
)
POOLS = Pools({"default": Space(used=20, total=80)}, "default")

WEB = InstanceReading(
    at_s=100.0,
    source=CGROUP,
    kind="container",
    project="default",
    name="web",
    uuid="u-1",
    pid=42,
    nics=(Nic("eth0", "veth1"),),
    cpu_ns=10 * S,
    cpus=2,
    memory_used=100,
    memory_total=1000,
    disk_used=None,
    disk_total=80,
    disk=DiskTraffic(1000, 2000),
    network=Traffic(1, 2, frozenset({"veth1"})),
    processes=3,
    addresses=(),
)


def described(
    name: str = "web", *, cpu_s: float = 1.0, pid: int = 42, kind: str = "container"
) -> InstanceWithState:
    """Return what LXD says of a running instance, whose only interface is `veth-NAME` outside."""
    return InstanceWithState(
        name=name,
        type=kind,
        state=InstanceState(
            pid=pid, processes=2, cpu=CpuState(int(cpu_s * S)), memory=MemoryState(64)
        ),
        expanded_config={"volatile.eth0.host_name": f"veth-{name}"},
        expanded_devices={"eth0": {"type": "nic"}},
    )


def stopped(name: str = "web") -> InstanceWithState:
    """Return what LXD says of an instance that does not run."""
    return replace(described(name), state=InstanceState())


def event(action: str, name: str = "web") -> LifecycleEvent:
    """Return an event about an instance, as LXD sends it."""
    return LifecycleEvent(
        metadata=LifecycleMetadata(action=action, source=f"/1.0/instances/{name}")
    )


@dataclass
class FakeLxd:
    """An LXD with these instances; `questions` tells what it was asked.

    It is there, but does not tell of those in `refused`.
    """

    listed: Sequence[InstanceWithState] = ()
    away: bool = False
    refused: set[str] = field(default_factory=set)
    questions: list[str] = field(default_factory=list)
    metrics: Mapping[Identity, Details] = field(default_factory=dict)

    def instances(self) -> Sequence[InstanceWithState]:
        self._ask("everything")
        return self.listed

    def instance(self, project: str, name: str) -> InstanceWithState | None:
        self._ask(name)
        if name in self.refused:
            raise InstanceRefused
        found = [each for each in self.listed if (each.project, each.name) == (project, name)]
        return found[0] if found else None

    def details(self, dropped: Dropped) -> Mapping[Identity, Details]:
        self._ask("details")
        return self.metrics

    def pools(self) -> Pools:
        self._ask("pools")
        return Pools({"default": Space(used=self.questions.count("pools"), total=100)}, "default")

    def _ask(self, question: str) -> None:
        if self.away:
            raise LxdUnavailable("h1")
        self.questions.append(question)


@dataclass
class FakeCgroups:
    """Counters of containers by their pid; others cannot be read, and those in `ended` have."""

    usage: dict[int, Usage] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    kept: set[int] = field(default_factory=set)

    def count(self, cpu_s: float, *, pid: int = 42) -> None:
        """Count so much CPU time, and a constant of everything else."""
        self.usage[pid] = Usage(int(cpu_s * S), 128, 5, DiskTraffic(10, 20))

    def read(self, told: InstanceReading, dropped: Dropped) -> Usage | None:
        if told.pid in self.ended:
            raise InstanceEnded
        return self.usage.get(told.pid)

    def forget_others(self, running: Collection[InstanceReading]) -> None:
        self.kept = {each.pid for each in running}


@dataclass
class FakeNetwork:
    """The host's interfaces, and what is counted inside the network of a process."""

    counters: dict[str, NetworkCounters] = field(
        default_factory=lambda: {"eth0": NetworkCounters(70, 90)}
    )
    networks: dict[int, Traffic] = field(default_factory=dict)

    def host(self, dropped: Dropped) -> HostNetwork:
        return HostNetwork(self.counters, frozenset({"eth0"}))

    def inside(self, pid: int, first: Collection[str], dropped: Dropped) -> Traffic | None:
        return self.networks.get(pid)
