"""What the worker needs of LXD and of the bus, as Protocols: everything else is called directly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from services.lxd_worker.instances.devices import Devices
from services.lxd_worker.instances.observation import Observation
from services.lxd_worker.instances.parked_roots import ParkedRoot
from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import FleetError
from shared.contracts.events import Event
from shared.contracts.hosts import Image, InstanceType, Network
from shared.contracts.instance_config import GuestCommand, ImageSource
from shared.contracts.instances import Instance, Trash
from shared.contracts.worker_api import Snapshot
from shared.lxd.models import SnapshotContent

# Sends an event to the fleet and returns once the broker has it; raises BrokerUnavailable.
Publish = Callable[[Event], None]

# Wakes whoever does some work; never blocks.
Signal = Callable[[], None]

# Returns a file below an image server's address; raises ImageServerAway.
Fetch = Callable[[str, str], bytes]

# Calls a function after so many seconds; returns at once.
CallLater = Callable[[float, Callable[[], None]], object]

# Returns all instances, by project and name, as they are now; None: LXD has to be asked.
CachedInstances = Callable[[], Mapping[tuple[str, str], Instance] | None]


class ImageServerAway(Exception):
    """An image server sent no file, or none that is small enough, in time."""


@dataclass(frozen=True, slots=True)
class LxdServer:
    """Who answers on LXD's socket; `fingerprint` is the SHA-256 of its certificate in hex."""

    fingerprint: str
    version: str
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class ObservedInstance:
    """An instance as it is reported to the fleet, None if there is none.

    `revision` orders the observations of this run of the worker.
    """

    revision: int
    instance: Instance | None


@dataclass(frozen=True, slots=True)
class InstanceAnswer:
    """What one answer of LXD's shows of an instance.

    To the fleet, and to operations, without `init`; None: there is none.
    """

    reported: ObservedInstance
    observation: Observation | None


@dataclass(frozen=True, slots=True)
class RootOwner:
    """An instance, by its place and its uuid, and what a revert of it would bring back."""

    project: str
    name: str
    uuid: str
    trash: Trash | None


@dataclass(frozen=True, slots=True)
class ParkedRoots:
    """The parked roots, and all instances that may own one."""

    roots: tuple[ParkedRoot, ...] = ()
    owners: tuple[RootOwner, ...] = ()


@dataclass(frozen=True, slots=True)
class LxdOperation:
    """How far LXD is with a request; `error` is why it ended without success.

    `progress` is in percent, None where LXD does not report it.
    """

    running: bool
    error: FleetError | None = None
    progress: int | None = None


class Lxd(Protocol):
    """The daemon of this host. Every method raises LxdUnavailable if it does not answer."""

    def server(self) -> LxdServer:
        """Return who the daemon is."""

    def instances(self) -> list[Instance]:
        """Return all instances that belong to this host, in one request."""

    def instance(self, project: str, name: str) -> ObservedInstance:
        """Return one instance as it is reported to the fleet."""

    def read(self, project: str, name: str) -> InstanceAnswer:
        """Return one instance as it is reported to the fleet, and observed briefly."""

    def cached_instances(self) -> Mapping[tuple[str, str], Instance] | None:
        """Return all instances, by project and name, as they were read last, without asking LXD.

        None until all were read, and after a reading that failed.
        """

    def observe(self, project: str, name: str) -> Observation | None:
        """Observe an instance with its first process; None if there is none."""

    def observe_briefly(self, project: str, name: str) -> Observation | None:
        """Observe the same without `init`, which takes LXD several times as long as the rest."""

    def observe_init(self, observed: Observation, project: str) -> Observation | None:
        """Return a brief observation with `init`, observed anew if LXD cannot tell that yet."""

    def observe_fully(self, project: str, name: str) -> Observation | None:
        """Observe all of it, including its snapshots and the space it uses."""

    def observe_snapshots(self, project: str, name: str) -> Observation | None:
        """Observe an instance briefly, with its snapshots, without a look into the guest."""

    def parked_roots(self) -> ParkedRoots:
        """Return the parked roots, which no other method lists."""

    def delete_parked(self, root: ParkedRoot) -> None:
        """Delete a parked root, if it still is one; raises LxdRefused and LxdBusy."""

    def forget_trash(self, project: str, name: str) -> None:
        """Remove the mark that there is something to revert to; raises LxdRefused and LxdBusy."""

    def snapshots(self, project: str, name: str) -> list[Snapshot]:
        """Return an instance's snapshots in LXD's order; none if there is no such instance."""

    def start_log(self, project: str, name: str) -> str | None:
        """Return the end of what LXD wrote at the last start of an instance; None: nothing yet."""

    def snapshot_devices(self, project: str, name: str, snapshot: str) -> Devices:
        """Return the devices that an instance would have after a snapshot of it is restored."""

    def snapshot_content(self, project: str, name: str, snapshot: str) -> SnapshotContent | None:
        """Return all that an instance made of a snapshot would have; None if there is none."""

    def request(self, step: Step, entry: JournalEntry) -> str:
        """Hand a step of an operation to LXD and return LXD's id of it.

        Raises InstanceNotFound, InstanceChangedSince, LxdRefused and LxdBusy: nothing was begun.
        After LxdUnavailable it is unknown whether it was.
        """

    def create(self, project: str, body: Mapping[str, object]) -> str:
        """Have LXD create an instance and return LXD's id of that; errors as `request`."""

    def set_password(self, project: str, name: str, password: str) -> None:
        """Set root's password inside a running guest; return once it is set.

        Raises PasswordNotSet if the guest cannot, InstanceNotFound, LxdRefused and LxdBusy. After
        OutcomeUnknown and LxdUnavailable it is unknown whether it was set.
        """

    def note_password(self, project: str, name: str, password: str) -> None:
        """Write root's password wherever an older one is noted; return once that is done.

        Raises InstanceNotFound, LxdRefused and LxdBusy; after LxdUnavailable it is unknown.
        """

    def run_command(self, project: str, name: str, command: GuestCommand) -> None:
        """Run a command inside a running guest; return once it has ended with status 0.

        After its time it is killed, as it is when this worker dies. Raises CommandFailed,
        InstanceNotFound and LxdBusy. After OutcomeUnknown and LxdUnavailable it is unknown what
        became of it.
        """

    def wait(self, lxd_operation: str, timeout_s: float) -> LxdOperation | None:
        """Return how far LXD is, at the end of a request or after the time-out.

        None: LXD has forgotten it, 5 s after its end or by a restart.
        """

    def cancel(self, lxd_operation: str) -> bool:
        """Return whether LXD agreed to cancel; most of its requests it cannot."""

    def running_operations(self, project: str, name: str) -> list[str]:
        """Return LXD's ids of all that it is doing to an instance now, whoever asked for it."""

    def is_in_use(self, project: str, name: str) -> bool:
        """Whether LXD works with an instance or a snapshot of it, be it to send it elsewhere.

        Programs and consoles in it are no such work.
        """


@dataclass(frozen=True, slots=True)
class HostMachine:
    """What the host's hardware has; `memory` in bytes."""

    cpu: int
    memory: int


@dataclass(frozen=True, slots=True)
class DaemonCapabilities:
    """The host's own architecture, in the kernel's name for it, and the types that it can run.

    `incus`: the daemon is Incus, which takes images in files of other names than LXD.
    """

    architecture: str
    types: tuple[InstanceType, ...]
    incus: bool = False


class InstanceReports(Protocol):
    """The reports of instances to the fleet, which share the readings of operations."""

    def expect_reading(self, project: str, name: str, step: Step) -> None:
        """Have LXD's events about an instance wait a moment for the reading after a step.

        That is `read`; `cancel_reading` if there is none.
        """

    def read(self, project: str, name: str, *, is_done: bool) -> InstanceAnswer:
        """Read an instance as `Lxd.read`, which answers the events about it so far as well.

        `is_done`: LXD says that it has done the step. What it tells of that needs no reading then.
        """

    def cancel_reading(self, project: str, name: str) -> None:
        """Have the events about an instance answered at once again."""


class HostResources(Protocol):
    """What this host has for new instances. Every method raises LxdUnavailable."""

    def machine(self) -> HostMachine:
        """Return the CPUs and the memory of the host."""

    def capabilities(self) -> DaemonCapabilities:
        """Return which instances the daemon can run."""

    def default_devices(self, project: str) -> Devices:
        """Return the devices of the project's default profile."""

    def default_pool(self) -> str:
        """Return the storage pool for an instance whose profile names none."""

    def pool_size(self, pool: str) -> int:
        """Return the size of a storage pool in bytes."""

    def images(self) -> list[Image]:
        """Return the images in the host's own store."""

    def image(self, project: str, source: ImageSource) -> Image | None:
        """Return one image of the host's own store."""

    def forget(self) -> None:
        """Ask LXD again from now on: what it has may have changed."""

    def projects(self) -> list[str]:
        """Return the names of all of LXD's projects."""

    def networks(self) -> list[Network]:
        """Return all networks that an instance can be attached to."""

    def network(self, name: str) -> Network | None:
        """Return one network, whether or not an instance can be attached to it."""
