"""What the gateway's parts need from each other; `wiring` joins them, tests pass fakes.

Fleet, Operations, Creations, Snapshots, Consoles, Hosts, Health and Telemetry are all that `http`
and `ws` see of the rest. HostStore, OperationStore and SnapshotNotes are what the handlers need of
the database.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from services.gateway.error_boundary import ErrorBoundary
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.operations.records import IdempotencyKey, Lease, StoredHost, StoredRequest
from services.gateway.vms.new_vm import NewVm
from services.gateway.vms.snapshots import DescribedSnapshot, Note
from services.gateway.vms.templates import ListedTemplate
from shared.contracts.changes import ImageSource
from shared.contracts.consoles import ConsoleType
from shared.contracts.errors import FleetError
from shared.contracts.operations import Arguments, Kind, Operation, Secrets
from shared.contracts.streams import Resize
from shared.contracts.worker_api import InstanceLog


class Fleet(Protocol):
    """The fleet view. Reading never waits and never does I/O.

    `instances`, `instance`, `named`, `with_uuid` and `hosts` raise FleetViewNotReady until the
    gateway knows the fleet.
    """

    @property
    def version(self) -> int:
        """Grows with every change of what readers see; equal versions mean equal answers."""

    @property
    def ready(self) -> bool:
        """Whether every host that is alive has reported, or the wait for them is over."""

    def hosts(self) -> Sequence[HostView]:
        """Return all hosts ever seen and not forgotten, by id."""

    def host(self, host: str) -> HostView:
        """Return one host; raise HostNotFound."""

    def instances(self, host: str | None = None) -> Sequence[InstanceView]:
        """Return all instances, by name then host; those of one host if named (HostNotFound)."""

    def instance(
        self, name: str, host: str | None = None, project: str | None = None
    ) -> InstanceView:
        """Return one instance.

        Raises InstanceNotFound, HostNotFound, AmbiguousName when it stands on several hosts and
        none is named, and AmbiguousProject when it stands in several projects of one host and none
        is named.
        """

    def named(self, name: str) -> Sequence[InstanceView]:
        """Return all instances of one name, whichever host and project they are in."""

    def with_uuid(self, uuid: str) -> Sequence[InstanceView]:
        """Return the instance of a uuid, and its copies, which wrongly share it."""

    def reserved_for(self, uuid: str) -> str | None:
        """Return the host that a gateway has told to create the instance of a uuid."""

    def shows(self, host: str, sequence: int) -> bool:
        """Whether the outcomes of the host's operations are shown up to this sequence.

        Sequences are the host's own, so every gateway means the same by them.
        """

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed` after every change; return what ends it."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, from where: `principal` is `admin` or `local` (no token); `address` the peer's IP.

    `may_see_secrets` lifts the mask from root passwords.
    """

    principal: str
    address: str
    may_see_secrets: bool = True
    correlation_id: str = ""


class Target(NamedTuple):
    """The instance that a change is about; `uuid` is its `volatile.uuid`, or what it will be."""

    host: str
    project: str
    name: str
    uuid: str


def target_of(known: InstanceView) -> Target:
    """Return an instance of the fleet view as what a change is about."""
    instance = known.instance
    return Target(known.host, instance.project, instance.name, instance.uuid)


@dataclass(frozen=True, slots=True)
class Change:
    """A request to change an instance, checked against the fleet view already.

    `secrets` are the arguments that are kept nowhere; None: there are none.
    `fingerprint` is a digest of the whole request: the same Idempotency-Key with another one is
    refused. `new_name` is the display name of a new instance that no other of its project may get
    at the same time, on whichever host; empty: that does not matter.
    """

    kind: Kind
    target: Target
    arguments: Arguments
    caller: Caller
    idempotency_key: str | None = None
    fingerprint: str = ""
    secrets: Secrets | None = None
    new_name: str = ""


# Told a host's refusal, returns the same change of the same uuid for another host, or raises what
# the caller is to be told.
Elsewhere = Callable[[FleetError], Change]


def nowhere_else(refusal: FleetError) -> Change:
    """Raise the refusal: what is to be changed is on that host and on no other."""
    raise refusal


@dataclass(frozen=True, slots=True)
class OperationFilter:
    """Which operations to list, newest first; None: any."""

    host: str | None = None
    instance: str | None = None
    state: str | None = None
    kind: str | None = None
    limit: int = 100
    project: str | None = None


class Operations(Protocol):
    """Changing things, and asking what became of it."""

    async def submit(self, change: Change, elsewhere: Elsewhere = nowhere_else) -> Operation:
        """Record the operation and hand it to the host's worker; return it as far as it got.

        A repeated Idempotency-Key returns the first call's operation. Raises HostUnreachable,
        LxdUnavailable, BrokerUnavailable, DatabaseUnavailable, OperationInProgress,
        InstanceNotFound, InstanceReplaced, HostIdentityMismatch, HostBusy: nothing was started.
        Raises IdempotencyKeyReused, and InstanceExists for a `new_name` that is being given. When
        the worker's answer is lost, the operation returns in state `submitting` and its fate is
        found out in the background.

        A host that certainly started nothing is left for the one that `elsewhere` names; the
        operation stays the same one.
        """

    async def recall(self, caller: Caller, key: str, fingerprint: str) -> Operation | None:
        """Return the operation that the caller's Idempotency-Key stands for; None: a new key.

        Asked before the target is looked up, because a repeated delete finds none. Raises
        IdempotencyKeyReused.
        """

    async def wait(self, operation_id: str, timeout_s: float) -> Operation:
        """Return the operation when it has ended, or as it stands after the time-out.

        A completed change shows in the fleet view before this returns. Raises OperationNotFound.
        """

    async def get(self, operation_id: str) -> Operation:
        """Return one operation; raise OperationNotFound."""

    async def list(self, wanted: OperationFilter) -> Sequence[Operation]:
        """Return the newest operations that fit."""

    async def cancel(self, operation_id: str) -> Operation:
        """Ask for it to be cancelled; raise OperationNotFound, OperationNotCancellable."""

    def watch(self, learnt: Callable[[Operation], None]) -> Callable[[], None]:
        """Call `learnt` with every operation as soon as there are news of it; return what ends it.

        The same news may come more than once.
        """


class Creations(Protocol):
    """Creating instances. What is being created is shown by the fleet that `vms` is."""

    @property
    def vms(self) -> Fleet:
        """The fleet view with the instances that are being created, in status `CREATING`."""

    async def create(
        self, vm: NewVm, caller: Caller, key: str | None, fingerprint: str
    ) -> Operation:
        """Choose host and name of a new instance, and submit its creation.

        The operation has the uuid that the instance gets. Where no host is asked for, one that
        refuses is left for the next; NoHostFits, or NoHostForNow, tells why each would not.

        Raises what `Operations.submit` does; besides InstanceExists for a name that stands already
        on the host that is asked for, or on any where none is; HostUnreachable or LxdUnavailable
        where no host can be told; ImageNotFound; and from the worker of a host that is asked for,
        or is the only one, InsufficientResources, PortInUse and InvalidInput.
        """

    def templates(self) -> Sequence[ListedTemplate]:
        """Return the templates of the operator's file, then the images hosts have or may fetch."""

    def image(self, template: str, host: HostView, kind: str) -> ImageSource | None:
        """Return what a template is on a host, for an instance of a type; None: it has none."""

    def instead_of(self, template: str, host: HostView, kind: str) -> Sequence[str]:
        """Return the templates that a host has for an instance of a type, the likeliest first."""

    def unknown(self, vm: NewVm) -> Mapping[str, Sequence[str]]:
        """Return the fields that name what is not there, each with what is there instead."""


class Snapshots(Protocol):
    """The snapshots of instances; they are changed by operations like all else."""

    async def list(self, target: Target) -> Sequence[DescribedSnapshot]:
        """Return an instance's snapshots, oldest first.

        Raises HostUnreachable, HostIdentityMismatch, LxdUnavailable, BrokerUnavailable,
        OutcomeUnknown, InstanceNotFound, InstanceReplaced, DatabaseUnavailable.
        """


class Logs(Protocol):
    """What LXD has written about the last starts of instances."""

    async def of(self, target: Target) -> InstanceLog:
        """Return the end of an instance's log.

        Raises HostUnreachable, HostIdentityMismatch, LxdUnavailable, BrokerUnavailable,
        WorkerOutdated, OutcomeUnknown, InstanceNotFound, InstanceReplaced, LogNotFound.
        """


@dataclass(frozen=True, slots=True)
class Console:
    """A console that somebody may open; `id` is the instance's, as in the console's address."""

    id: str
    target: Target
    type: ConsoleType
    caller: Caller


class ByteStream(Protocol):
    """Our end of a stream of bytes with a host.

    Methods raise StreamLost when the host's end has gone, or the error with which it called off.
    """

    @property
    def id(self) -> str:
        """What the host is told to find its end by."""

    @property
    def exit_status(self) -> int | None:
        """That of the process whose output the bytes were, after they have ended; None: unknown."""

    def begin(self) -> None:
        """Let the bytes flow; the host's end is there now."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield what comes until the host has sent all.

        It may send more when whoever iterates comes back.
        """

    async def send(self, data: bytes) -> None:
        """Send bytes; return when the host had room for all of them."""

    async def resize(self, size: Resize) -> None:
        """Tell the size of the terminal."""


class Streams(Protocol):
    """Streams of bytes with hosts."""

    def listen(self, host: str) -> AbstractAsyncContextManager[ByteStream]:
        """Hold our end of a new stream, and end the stream afterwards.

        Raises BrokerUnavailable, HostUnreachable.
        """


class Consoles(Protocol):
    """Consoles of instances."""

    def open(self, console: Console) -> AbstractAsyncContextManager[ByteStream]:
        """Hold a console open, and leave it afterwards.

        Raises what `LxdWorker.open_console` raises, HostUnreachable and HostIdentityMismatch.
        """


class Hosts(Protocol):
    """Keeping the list of hosts."""

    async def forget(self, host: str) -> None:
        """Drop a host, its pin and its inventory; raise HostNotFound, HostStillOnline."""


class Health(Protocol):
    """What `/readyz` and `/healthz` ask."""

    @property
    def broker_connected(self) -> bool:
        """Whether calls can be made now, unless the broker is blocked."""

    @property
    def broker_blocked(self) -> str:
        """Why the broker takes no messages now; empty: it does."""

    async def database_answers(self) -> bool:
        """Whether the database can be written."""


class Telemetry(Protocol):
    """What the gateway tells Prometheus of itself."""

    @property
    def boundary(self) -> ErrorBoundary:
        """Renders entries one by one, and counts those that cannot be."""

    def text(self) -> bytes:
        """Return all of it in Prometheus' text format."""

    def watching(self, stream: str) -> AbstractContextManager[None]:
        """Count a viewer of a stream while it watches."""

    def dropped(self, stream: str) -> None:
        """Count a viewer that was too slow."""

    def refused(self, reason: str) -> None:
        """Count a connection beyond a limit."""


class HostStore(Protocol):
    """Hosts and their last inventories, kept. Every method may raise DatabaseUnavailable."""

    async def load(self) -> Sequence[StoredHost]:
        """Return every host that was saved and not dropped."""

    async def save(self, known: Sequence[StoredHost]) -> None:
        """Keep the hosts as they are now; a pin that is there already stays."""

    async def drop(self, host: str) -> None:
        """Keep nothing of the host but its operations."""


class OperationStore(Protocol):
    """Operations and idempotency keys, kept. Every method may raise DatabaseUnavailable."""

    async def insert(self, operation: Operation, request: StoredRequest) -> Operation:
        """Keep a new operation and its key together, or return the one the key stands for.

        Raises IdempotencyKeyReused when the key came with another request, and InstanceExists when
        an operation of the project that has not ended holds the request's new name.
        """

    async def find(self, key: IdempotencyKey) -> Operation | None:
        """Return the operation a key stands for; raise IdempotencyKeyReused."""

    async def merge(self, learnt: Sequence[Operation]) -> None:
        """Keep each operation as it now is true; unknown ones are added."""

    async def merge_page(self, host: str, learnt: Sequence[Operation], sequence: int) -> None:
        """Merge, and remember that the host's operations are known up to `sequence`."""

    async def known_up_to(self, host: str) -> int:
        """Return the sequence up to which the host's operations are known."""

    async def reject(self, operation: Operation, *, free_key: bool) -> None:
        """Keep a rejected operation; its key may be used again if `free_key`.

        Neither happens when it is another host's by now.
        """

    async def move(self, operation: Operation, left: str, lease: Lease) -> bool:
        """Keep a submission as one to its present host instead of to the host `left`.

        Returns False, and changes nothing, when it is no submission to that one any more.
        """

    async def get(self, operation_id: str) -> Operation | None:
        """Return one operation."""

    async def list(self, wanted: OperationFilter) -> Sequence[Operation]:
        """Return the newest operations that fit, newest first."""

    async def unresolved(self, owner: str, now: float) -> Sequence[Operation]:
        """Return what is `submitting` and no other gateway's present business, oldest first."""

    async def creations(self, since: float) -> Sequence[Operation]:
        """Return the creations that gateways have submitted and that have not failed.

        Those that were completed only if their request is of a Unix time since then.
        """

    async def end_leases(self) -> None:
        """End the leases that no living gateway can hold."""

    async def purge(self, *, keys_before: float, operations_before: float) -> None:
        """Drop keys and operations whose request is older than the Unix times."""


class SnapshotNotes(Protocol):
    """What is kept of snapshots; an OperationStore writes it with the outcomes that it merges."""

    async def of(self, host: str, uuid: str) -> Mapping[str, Note]:
        """Return the notes on an instance's snapshots, by the snapshots' names.

        Raises DatabaseUnavailable.
        """
