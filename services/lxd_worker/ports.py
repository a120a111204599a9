"""What the worker's handlers need from outside: LXD, the journal, the clock and the bus."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from services.lxd_worker.creation.capacity import HostMachine
from services.lxd_worker.instances.observation import Observation
from services.lxd_worker.instances.parked_roots import ParkedRoot
from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.journal.plan import Devices
from services.lxd_worker.reports.simplestreams import DaemonCapabilities
from services.lxd_worker.transitions.steps import Step
from shared.contracts.changes import ImageSource
from shared.contracts.consoles import OpenConsole
from shared.contracts.errors import FleetError
from shared.contracts.events import Event
from shared.contracts.hosts import Image, Network
from shared.contracts.instances import Instance, Trash
from shared.contracts.operations import Operation
from shared.contracts.streams import Resize
from shared.contracts.worker_api import Snapshot

# Of the records of a page of operations. The last one may be some 2 MiB, and what is no ASCII takes
# thrice its bytes in an answer, of which the broker takes 16 MiB.
MOST_PAGE_BYTES = 2 << 20

# Runs a function at the same time and returns at once; what it returns waits for the end.
SpawnTask = Callable[[Callable[[], None]], "BackgroundTask"]

# Sends one event to the fleet and returns when the broker has it; raises BrokerUnavailable.
Publish = Callable[[Event], None]

# Returns a file below an image server's address; raises ImageServerAway.
Fetch = Callable[[str, str], bytes]

# Says that something waits to be done; rings through to whoever does it and never blocks.
Signal = Callable[[], None]

# Calls a function after so many seconds and returns at once.
CallLater = Callable[[float, Callable[[], None]], object]

# Returns all instances, by project and name, as they are now; None when LXD has to be asked.
CachedInstances = Callable[[], Mapping[tuple[str, str], Instance] | None]

# Takes in that something is left out: what of, whose it is (a path, a name, an id) and why.
Omit = Callable[["Omission", str, str], None]

# Makes a new version of an entry, or returns the same one to leave it; may be called on any thread.
Change = Callable[[JournalEntry], JournalEntry]


class ImageServerAway(Exception):
    """An image server gave no file, or none that is small enough, in time."""


class Omission(StrEnum):
    """What the worker goes on without, for nobody but its owner shall pay for it.

    `ANSWER`: a part of what LXD answered, that cannot be read. `QUESTION`: what LXD refused to
    tell of the host. `EVENT`: an event of LXD's that cannot be read. `INSTANCE`: a whole instance,
    `FIELDS`: values of one, or of an image or a network, that no message takes. `OPERATION`: a row
    of the journal that cannot be read. `MESSAGE`: a whole message to the fleet.
    """

    ANSWER = "answer"
    QUESTION = "question"
    EVENT = "event"
    INSTANCE = "instance"
    FIELDS = "fields"
    OPERATION = "operation"
    MESSAGE = "message"


class WorkerClock(Protocol):
    """Time, and waiting for it."""

    def now(self) -> str:
        """Return the time as RFC 3339 with `Z`."""

    def unix(self) -> float:
        """Return the seconds since 1970."""

    def monotonic(self) -> float:
        """Return seconds that only ever grow; their origin means nothing."""

    def sleep(self, seconds: float) -> None:
        """Let others work for as long."""


@dataclass(frozen=True, slots=True)
class LxdServer:
    """Who answers on LXD's socket; `fingerprint` is the SHA-256 of its certificate in hex."""

    fingerprint: str
    version: str
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class ObservedInstance:
    """An instance as it was read, None where there is none.

    `revision` orders the readings of this worker's life.
    """

    revision: int
    instance: Instance | None


@dataclass(frozen=True, slots=True)
class RootOwner:
    """An instance, by its place and its uuid, and what a revert of it brings back."""

    project: str
    name: str
    uuid: str
    trash: Trash | None


@dataclass(frozen=True, slots=True)
class ParkedRoots:
    """The roots that are set aside, and all instances that may own one."""

    aside: tuple[ParkedRoot, ...] = ()
    owners: tuple[RootOwner, ...] = ()


@dataclass(frozen=True, slots=True)
class LxdOperation:
    """How far LXD is with a request; `error` says why it ended without success.

    `progress` is in percent, where LXD tells it.
    """

    running: bool
    error: FleetError | None = None
    progress: int | None = None


class Lxd(Protocol):
    """The daemon of this host. Every method raises LxdUnavailable when it does not answer."""

    def server(self) -> LxdServer:
        """Return who the daemon is."""

    def instances(self) -> list[Instance]:
        """Return all instances that are this host's, in one request."""

    def instance(self, project: str, name: str) -> ObservedInstance:
        """Return one instance as the fleet shall know it."""

    def remembered(self) -> Mapping[tuple[str, str], Instance] | None:
        """Return all instances, by project and name, as they were read last, without asking.

        None until all were read, and after a reading that failed.
        """

    def look(self, project: str, name: str) -> Observation | None:
        """Return what is seen of an instance, with its first process; None where there is none."""

    def glance(self, project: str, name: str) -> Observation | None:
        """Return the same without `init`, which costs LXD several times as much as the rest."""

    def examine(self, project: str, name: str) -> Observation | None:
        """Return all that can be seen of it, also its snapshots and what it uses."""

    def asides(self) -> ParkedRoots:
        """Return the roots that are set aside: they are in no other list."""

    def discard(self, aside: ParkedRoot) -> None:
        """Delete a root that is set aside, if it still is; raises LxdRefused and LxdBusy."""

    def forget_trash(self, project: str, name: str) -> None:
        """Take from an instance the note that there is something to revert to.

        Raises LxdRefused and LxdBusy.
        """

    def snapshots(self, project: str, name: str) -> list[Snapshot]:
        """Return an instance's snapshots in LXD's order; none where there is no such instance."""

    def log(self, project: str, name: str) -> str | None:
        """Return the end of what LXD wrote when it started an instance last; None: nothing yet."""

    def devices_of(self, project: str, name: str, snapshot: str) -> Devices:
        """Return the devices that an instance has when a snapshot of it is restored."""

    def ask(self, step: Step, entry: JournalEntry) -> str:
        """Hand a step of an operation to LXD and return LXD's id of it.

        Raises InstanceNotFound, InstanceChangedSince, LxdRefused and LxdBusy: nothing was begun.
        After LxdUnavailable nobody knows whether it was.
        """

    def create(self, project: str, request: Mapping[str, object]) -> str:
        """Have LXD make an instance and return LXD's id of that; errors as `ask`."""

    def set_password(self, project: str, name: str, password: str) -> None:
        """Set root's password inside a running guest; return when it is set.

        Raises PasswordNotSet where the guest cannot, InstanceNotFound, LxdRefused and LxdBusy.
        After OutcomeUnknown and LxdUnavailable nobody knows whether it was set.
        """

    def note_password(self, project: str, name: str, password: str) -> None:
        """Write root's password down where an older one stands; return when that is done.

        Raises InstanceNotFound, LxdRefused and LxdBusy; after LxdUnavailable nobody knows.
        """

    def wait(self, lxd_operation: str, timeout_s: float) -> LxdOperation | None:
        """Return how LXD is getting on, at its end or after the time-out; None: LXD forgot it.

        LXD forgets a request 5 s after its end, and all of them when it is restarted.
        """

    def cancel(self, lxd_operation: str) -> bool:
        """Return whether LXD agreed to cancel; most of its requests it cannot."""

    def under_way(self, project: str, name: str) -> list[str]:
        """Return LXD's ids of all that it is doing to the instance now, whoever asked for it."""


class HostResources(Protocol):
    """What this host's LXD has for new instances. Every method raises LxdUnavailable."""

    def machine(self) -> HostMachine:
        """Return the CPUs and the memory of the host."""

    def runs(self) -> DaemonCapabilities:
        """Return which instances the daemon can run."""

    def default_devices(self, project: str) -> Devices:
        """Return the devices that the project's default profile gives to an instance."""

    def default_pool(self) -> str:
        """Return the storage pool for an instance whose profile names none."""

    def pool_size(self, pool: str) -> int:
        """Return how much a storage pool holds in all, in bytes."""

    def images(self) -> list[Image]:
        """Return the images in the host's own store."""

    def image(self, project: str, wanted: ImageSource) -> Image | None:
        """Return one image of the host's own store."""

    def forget(self) -> None:
        """Ask anew from now on: what there is may have changed."""

    def projects(self) -> list[str]:
        """Return the names of all of LXD's projects."""

    def networks(self) -> list[Network]:
        """Return all that an instance can be joined to."""

    def network(self, name: str) -> Network | None:
        """Return one network, whatever it is good for."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A journalled operation; `fresh` is False when it had been there before."""

    entry: JournalEntry
    fresh: bool


class Journal(Protocol):
    """The worker's memory of operations; what a method has written survives a crash.

    Every change gets the next sequence, which grows over all operations and never comes again.
    An unfinished operation holds its instance, unless it waits for the creation of it: the end of
    the one that holds an instance gives it to the one that has waited longest. Raises
    DatabaseUnavailable.
    """

    @property
    def length(self) -> int:
        """How many operations are kept; known without asking the database."""

    def find(self, operation_id: str) -> JournalEntry | None:
        """Return the entry of an operation; None where there is none, or a tombstone."""

    def accept(self, entry: JournalEntry, host: str, limit: int) -> Acceptance:
        """Take an operation on, once; the same id again returns what is there already.

        Behind a creation of its instance it waits (`Operation.waits_for`). Raises
        OperationInProgress when another one holds the instance, OperationRefused for a tombstone,
        and HostBusy when `limit` operations are unfinished.
        """

    def advance(self, operation_id: str, change: Change) -> JournalEntry:
        """Change an entry, with nothing in between, and return it as it is then.

        Raises OperationNotFound.
        """

    def resolve(self, operation_id: str, at: float) -> JournalEntry | None:
        """Return an operation's entry, or bury its id for ever and return None."""

    def since(
        self, sequence: int, limit: int, most_bytes: int = MOST_PAGE_BYTES
    ) -> list[Operation]:
        """Return what changed after a sequence, oldest change first.

        It is as many as the limit at the most, and no more once their records have so many bytes.
        """

    def unfinished(self) -> list[JournalEntry]:
        """Return the operations that hold their instances, in the order of their acceptance."""

    def holder(self, project: str, instance: str) -> JournalEntry | None:
        """Return the operation that holds an instance."""

    def follower(self, ended: Operation) -> JournalEntry | None:
        """Return the next of those that waited for the same creation, or for this one."""

    def unconfirmed(self, limit: int) -> list[Operation]:
        """Return operations whose last change the broker has not confirmed, oldest first."""

    def confirm(self, operation_id: str, sequence: int) -> None:
        """Note that the broker has this change; a later one stays unconfirmed."""

    def prune(self, before: float) -> int:
        """Forget what ended and was confirmed, and tombstones, before a Unix time; return how many.

        An operation is as old as its last change.
        """


class BackgroundTask(Protocol):
    """Something that runs beside."""

    def wait(self) -> None:
        """Return when it has ended."""


class Terminal(Protocol):
    """What somebody sits at in an instance: bytes both ways."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield what it shows, until its process ends, LXD goes away, or we hang up."""

    def write(self, data: bytes) -> None:
        """Type; return when it was taken. Raises OSError when nobody is there."""

    def resize(self, size: Resize) -> None:
        """Give it another size; raises OSError when nobody is there."""

    def hang_up(self) -> None:
        """Leave: its process is killed, and others may sit down; whoever waits here wakes up."""

    def exit_status(self) -> int | None:
        """Return that of its process, after we hung up.

        None where it had not ended by itself, or LXD does not tell.
        """

    def close(self) -> None:
        """Let go of what it holds; nobody may use it any more."""


class Terminals(Protocol):
    """The instances' terminals."""

    def open(self, request: OpenConsole) -> Terminal:
        """Sit down at one; raises InstanceNotFound, LxdRefused, LxdUnavailable."""


class ConsoleStream(Protocol):
    """This host's end of a byte stream.

    Methods raise StreamLost when the other end has gone, or the error with which it called off.
    """

    def __iter__(self) -> Iterator[bytes | Resize]:
        """Yield what comes, until the other end has sent all.

        It gets room for more when whoever iterates comes back.
        """

    def send(self, data: bytes, within_s: float | None = None) -> int:
        """Send bytes as the other end has room for them; return how many.

        All of them, unless there was no room for longer than `within_s`.
        """

    def end(self, exit_status: int | None) -> None:
        """Say that this was all; return when the other end has said so, too."""

    def call_off(self, error: FleetError) -> None:
        """Tell the other end, if it is still there, why nothing more will come; never raises."""

    def close(self) -> None:
        """Leave; never raises."""


class OpenConsoleStream(Protocol):
    """Takes up this host's end of a stream."""

    def __call__(self, stream: str, lost: Callable[[], None]) -> ConsoleStream:
        """Return the end of a stream; `lost` is called as soon as the other one is gone.

        Raises BrokerUnavailable.
        """
