"""What sampling needs from outside; `wiring` joins it to the real things, tests to fakes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.metrics.sampler.lxd_instances import InstanceWithState
from services.metrics.sampler.reading import HostReading, Identity, InstanceReading, Pools
from services.metrics.sampler.sanitize import Dropped
from services.metrics.sampler.usage import Details, Traffic, Usage
from shared.contracts.events import Sampled
from shared.lxd.models import NetworkCounters


class LxdQueries(Protocol):
    """The host's LXD. All raise LxdUnavailable, and later work again by themselves.

    What of its answers cannot be read is left out: of an instance's its own values only.
    """

    def instances(self) -> Sequence[InstanceWithState]:
        """Return all instances with their state, in one request."""

    def instance(self, project: str, name: str) -> InstanceWithState | None:
        """Return one instance with its state; None if there is none; raise InstanceRefused."""

    def details(self, dropped: Dropped) -> Mapping[Identity, Details]:
        """Return what its metrics tell of running instances, in one request; they may be seconds
        old.
        """

    def pools(self) -> Pools:
        """Return the space of the storage pools; one request for each, so not every second."""


class Cgroups(Protocol):
    """The kernel's counters of containers; files once opened are kept open."""

    def read(self, told: InstanceReading, dropped: Dropped) -> Usage | None:
        """Return what is counted of this run; None if its cgroups cannot be read here.

        Raises InstanceEnded when it has ended, which LXD may not have said yet.
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
        """Return the host's, in one read for all."""

    def inside(self, pid: int, first: Collection[str], dropped: Dropped) -> Traffic | None:
        """Return the traffic in the network that a process is in; None if it cannot be read.

        Where there are too many interfaces to tell of each, those named in `first` are told first.
        """


# Reads the host itself.
ReadHost = Callable[[], HostReading]

# Seconds since a process was started; None where that cannot be read.
ProcessAge = Callable[[int], float | None]

# Gives a sample to the broker; raises BrokerUnavailable.
Publish = Callable[[Sampled], None]

# Seconds that only ever grow, from an arbitrary zero.
Monotonic = Callable[[], float]

# The time of day as RFC 3339 with `Z`.
Now = Callable[[], str]
