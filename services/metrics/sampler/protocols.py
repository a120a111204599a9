"""Interfaces of sampling to the outside; `wiring` provides real implementations, tests fakes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.metrics.sampler.kernel_counters import Details, Traffic, Usage
from services.metrics.sampler.lxd_instances import InstanceWithState
from services.metrics.sampler.reading import HostReading, Identity, InstanceReading, Pools
from services.metrics.sampler.sanitize import Dropped
from shared.contracts.events import Sampled
from shared.lxd.models import NetworkCounters


class LxdQueries(Protocol):
    """The host's LXD. All methods raise LxdUnavailable, and recover by themselves.

    Unreadable parts of its answers are omitted: of an instance only its own values.
    """

    def instances(self) -> Sequence[InstanceWithState]:
        """Return all instances with their state, in one request."""

    def instance(self, project: str, name: str) -> InstanceWithState | None:
        """Return one instance with its state; None if it does not exist; raise InstanceRefused."""

    def details(self, dropped: Dropped) -> Mapping[Identity, Details]:
        """Return LXD's metrics of running instances, in one request; they may be seconds old."""

    def pools(self) -> Pools:
        """Return the space of the storage pools, with a request for each."""


class Cgroups(Protocol):
    """The kernel's counters of containers, in files that are kept open."""

    def read(self, instance: InstanceReading, dropped: Dropped) -> Usage | None:
        """Return the counters of a run; None if its cgroups cannot be read here.

        Raises InstanceEnded if it has ended, which LXD may not have reported yet.
        """

    def forget_others(self, running: Collection[InstanceReading]) -> None:
        """Close the files of all runs but these."""


@dataclass(frozen=True, slots=True)
class HostNetwork:
    """The counters of the interfaces in the host's network, and which of them are hardware."""

    counters: Mapping[str, NetworkCounters]
    hardware: frozenset[str]


class NetworkSource(Protocol):
    """The kernel's counters of network interfaces."""

    def host(self, dropped: Dropped) -> HostNetwork:
        """Return the host's interfaces, in one read."""

    def inside(self, pid: int, first: Collection[str], dropped: Dropped) -> Traffic | None:
        """Return the traffic in a process's network namespace; None if it cannot be read.

        If there are too many interfaces to list, those in `first` take precedence.
        """


# Reads the host itself.
ReadHost = Callable[[], HostReading]

# Seconds since a process started; None if unknown.
ProcessAge = Callable[[int], float | None]

# Publishes a sample; raises BrokerUnavailable.
Publish = Callable[[Sampled], None]

# Monotonic time in seconds.
Monotonic = Callable[[], float]

# The time of day as RFC 3339 with `Z`.
Now = Callable[[], str]
