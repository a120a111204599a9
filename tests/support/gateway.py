"""Fakes of what the gateway's HTTP side stands on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from services.gateway.fleet.change_set import ChangeSet, InstanceKey
from services.gateway.fleet.instance_index import InstanceQuery, matches
from services.gateway.fleet.name_resolution import require_unique
from services.gateway.fleet.pagination import sort_key
from services.gateway.fleet.protection_view import ProtectionView
from services.gateway.fleet.view import FleetView
from services.gateway.fleet.views import Availability, HostPart, HostView, InstanceView, Target
from services.gateway.operations.command import Alternative, Caller, no_alternative
from services.gateway.operations.service import OperationService
from services.gateway.operations.store import IdempotencyKey, OperationFilter
from services.gateway.vms.pending import PendingCreations
from services.gateway.vms.snapshots import DescribedSnapshot
from shared.contracts.errors import (
    FleetError,
    FleetViewNotReady,
    HostNotFound,
    HostUnreachable,
    IdempotencyKeyReused,
    OperationNotCancellable,
    OperationNotFound,
)
from shared.contracts.instances import Instance
from shared.contracts.operations import (
    Arguments,
    Command,
    Kind,
    Operation,
    Secrets,
    State,
    command_fields,
)
from shared.contracts.samples import InstanceSample
from shared.contracts.worker_api import InstanceLog
from tests.support.clock import FakeClock
from tests.support.views import a_host_view, a_view


@dataclass
class FakeFleet:
    """A fleet view that holds what a test puts in; `change` tells the watchers."""

    known_hosts: list[HostView] = field(default_factory=lambda: [a_host_view()])
    known_instances: list[InstanceView] = field(default_factory=lambda: [a_view()])
    version: int = 7
    ready: bool = True
    # Lists and instances that were read.
    reads: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    reserved: dict[str, str] = field(default_factory=dict)
    # Of no host: none has reported.
    protections: ProtectionView = field(
        default_factory=lambda: FleetView(FakeClock().clock).protections
    )
    _watchers: list[Callable[[ChangeSet], None]] = field(default_factory=list)

    def require_ready(self) -> None:
        if not self.ready:
            raise FleetViewNotReady

    def has_inventory(self, host: str | None = None) -> bool:
        hosts = self.known_hosts if host is None else [self.host(host)]
        return any(each.inventory_age_s is not None for each in hosts)

    def hosts(self) -> Sequence[HostView]:
        self.require_ready()
        return sorted(self.known_hosts, key=lambda known: known.host)

    def has_host(self, host: str) -> bool:
        return host in self.host_ids()

    def host_ids(self) -> list[str]:
        return [known.host for known in self.known_hosts]

    def host(self, host: str) -> HostView:
        for known_host in self.known_hosts:
            if known_host.host == host:
                return known_host
        raise HostNotFound(host)

    def host_part(self, host: str) -> HostPart:
        return self.host(host).part

    def instances(self, host: str | None = None) -> Sequence[InstanceView]:
        return self.select(InstanceQuery(host=host))

    def select(self, query: InstanceQuery) -> Sequence[InstanceView]:
        self.require_ready()
        self.reads += 1
        if query.host is not None:
            self.host(query.host)
        fitting = (
            each for each in self.known_instances if matches(each.instance, each.host, query)
        )
        return sorted(fitting, key=sort_key)

    def samples(self, host: str) -> Sequence[tuple[Instance, InstanceSample]]:
        self.host(host)
        of_host = (each for each in self.known_instances if each.host == host)
        in_order = sorted(of_host, key=sort_key)
        return [(each.instance, each.sample) for each in in_order if each.sample is not None]

    def availability(self) -> Sequence[Availability]:
        return [Availability(e.host, e.online, e.lxd_connected) for e in self.hosts()]

    def overlay(
        self, views: Sequence[InstanceView], includes: Callable[[InstanceView], bool]
    ) -> Sequence[InstanceView]:
        return views

    def find(self, key: InstanceKey) -> InstanceView | None:
        self.reads += 1
        return next((each for each in self.known_instances if sort_key(each) == key), None)

    def keys(self) -> list[InstanceKey]:
        return [sort_key(each) for each in self.known_instances]

    def keys_of(self, host: str) -> list[InstanceKey]:
        return [sort_key(each) for each in self.known_instances if each.host == host]

    def statuses(self) -> Mapping[str, int]:
        return Counter(each.instance.status for each in self.known_instances)

    def instance(
        self, name: str, host: str | None = None, project: str | None = None
    ) -> InstanceView:
        named = [each for each in self.instances(host) if each.instance.name == name]
        return require_unique(name, named, host, project)

    def with_name(self, name: str) -> Sequence[InstanceView]:
        return [each for each in self.instances() if each.instance.name == name]

    def with_display_name(self, name: str) -> Sequence[InstanceView]:
        every = self.instances()
        return [e for e in every if name == (e.instance.display_name or e.instance.name)]

    def with_uuid(self, uuid: str) -> Sequence[InstanceView]:
        return [each for each in self.instances() if each.instance.uuid == uuid]

    def reserved_for(self, uuid: str) -> str | None:
        return self.reserved.get(uuid)

    def access_error(self, host: str) -> FleetError | None:
        return None if self.host(host).online else HostUnreachable(host)

    def has_applied(self, host: str, sequence: int) -> bool:
        return self.outcomes.get(host, 0) >= sequence

    def watch(self, on_change: Callable[[ChangeSet], None]) -> Callable[[], None]:
        self._watchers.append(on_change)
        return lambda: self._watchers.remove(on_change)

    @property
    def watched(self) -> int:
        """How many still wait for changes."""
        return len(self._watchers)

    def change(
        self,
        *,
        instances: list[InstanceView] | None = None,
        hosts: list[HostView] | None = None,
    ) -> None:
        """Put in a new state, with the next version."""
        before = [*self.known_instances, *self.known_hosts]
        self.known_instances = self.known_instances if instances is None else instances
        self.known_hosts = self.known_hosts if hosts is None else hosts
        self.version += 1
        now = [*self.known_instances, *self.known_hosts]
        differ = [each for each in now if each not in before]
        differ += [each for each in before if each not in now]
        changes = ChangeSet(
            hosts=frozenset(each.host for each in differ if isinstance(each, HostView)),
            instances=frozenset(
                sort_key(each) for each in differ if isinstance(each, InstanceView)
            ),
        )
        self.publish(changes)

    def publish(self, changes: ChangeSet) -> None:
        """Tell the watchers."""
        for watcher in list(self._watchers):
            watcher(changes)


class Submitted(NamedTuple):
    """What was submitted."""

    command: Command
    caller: Caller
    key: IdempotencyKey | None
    secrets: Secrets | None
    new_name: str

    @property
    def kind(self) -> Kind:
        return self.command.kind

    @property
    def arguments(self) -> Arguments:
        return self.command.arguments

    @property
    def target(self) -> Target:
        command = self.command
        return Target(command.host, command.project, command.instance, command.uuid)


@dataclass
class FakeOperations(OperationService):
    """Operations that end as the test wants; they are executed as real ones are.

    `ends` is what becomes of every operation; `refusal` is raised by submit instead. While `held`
    is given and not set, operations go on. `pending` are the creations among them.
    """

    ends: dict[str, object] = field(default_factory=lambda: {"state": State.DONE})
    refusal: FleetError | None = None
    held: asyncio.Event | None = None
    submitted: list[Submitted] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    wanted: list[OperationFilter] = field(default_factory=list)
    known: dict[str, Operation] = field(default_factory=dict)
    keys: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    list_refusal: FleetError | None = None
    pending: PendingCreations = field(default_factory=PendingCreations)
    _watchers: list[Callable[[Operation], None]] = field(default_factory=list)

    async def submit(
        self,
        command: Command,
        caller: Caller,
        key: IdempotencyKey | None = None,
        secrets: Secrets | None = None,
        *,
        new_name: str = "",
        alternative: Alternative = no_alternative,
    ) -> Operation:
        if self.refusal is not None:
            raise self.refusal
        self.submitted.append(Submitted(command, caller, key, secrets, new_name))
        operation = self.record(_accepted(f"op-{len(self.submitted)}", command))
        if key is not None:
            self.keys[key.principal, key.key] = (operation.operation_id, key.fingerprint)
        return operation

    async def find_by_key(self, key: IdempotencyKey) -> Operation | None:
        mine = (key.principal, key.key)
        operation_id, fingerprint = self.keys.get(mine, ("", key.fingerprint))
        if fingerprint != key.fingerprint:
            raise IdempotencyKeyReused(key.key)
        return self.known.get(operation_id)

    async def _wait_until_final(self, operation: Operation, timeout_s: float) -> Operation:
        self.waits.append(timeout_s)
        newest = self.known[operation.operation_id]
        if newest.final or not await self._released(timeout_s):
            return newest
        return self.end(newest.operation_id, **self.ends)

    async def get(self, operation_id: str) -> Operation:
        if operation_id not in self.known:
            raise OperationNotFound(operation_id)
        return self.known[operation_id]

    async def get_creation(self, uuid: str) -> Operation:
        return await self.get(uuid)

    async def list(self, wanted: OperationFilter) -> Sequence[Operation]:
        if self.list_refusal is not None:
            raise self.list_refusal
        self.wanted.append(wanted)
        return list(reversed(self.known.values()))

    async def cancel(self, operation_id: str) -> Operation:
        if (await self.get(operation_id)).final:
            raise OperationNotCancellable(operation_id)
        return self.end(operation_id, state=State.CANCELLED)

    def watch(self, on_change: Callable[[Operation], None]) -> Callable[[], None]:
        self._watchers.append(on_change)
        return lambda: self._watchers.remove(on_change)

    @property
    def watched(self) -> bool:
        """Whether anybody still waits for news."""
        return bool(self._watchers)

    def end(self, operation_id: str, **changes: object) -> Operation:
        """Change an operation as a worker would report it."""
        return self.record(msgspec.structs.replace(self.known[operation_id], **changes))

    def record(self, operation: Operation) -> Operation:
        """Take an operation as it is now, and tell the watchers."""
        self.known[operation.operation_id] = operation
        self.pending.record(operation)
        for on_change in list(self._watchers):
            on_change(operation)
        return operation

    async def _released(self, timeout_s: float) -> bool:
        if self.held is None:
            return True
        try:
            await asyncio.wait_for(self.held.wait(), timeout_s)
        except TimeoutError:
            return False
        return True


@dataclass
class FakeSnapshots:
    """Snapshots by the uuid of their instance; `refusal` is raised instead of listing them.

    `asked` are the instances whose snapshots were listed, `marked` the marks that were set.
    """

    of: dict[str, list[DescribedSnapshot]] = field(default_factory=dict)
    asked: list[Target] = field(default_factory=list)
    marked: list[tuple[Target, str, bool, tuple[str, ...]]] = field(default_factory=list)
    refusal: FleetError | None = None

    async def list(self, target: Target) -> Sequence[DescribedSnapshot]:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append(target)
        return self.of.get(target.uuid, [])

    async def mark(
        self, target: Target, snapshot: str, *, protected: bool, tags: tuple[str, ...]
    ) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.marked.append((target, snapshot, protected, tags))

    def require_policies(self, host: str) -> None:
        if self.refusal is not None:
            raise self.refusal


@dataclass
class FakeLogs:
    """One log for all instances; `refusal` is raised instead of telling it."""

    log: InstanceLog = field(default_factory=lambda: InstanceLog(text=""))
    asked: list[Target] = field(default_factory=list)
    refusal: FleetError | None = None

    async def of(self, target: Target) -> InstanceLog:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append(target)
        return self.log


@dataclass
class FakeHosts:
    """Remembers which hosts were forgotten."""

    refusal: FleetError | None = None
    forgotten: list[str] = field(default_factory=list)

    async def forget(self, host: str) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.forgotten.append(host)


@dataclass
class FakeHealth:
    """A broker and a database that are there or not."""

    broker_connected: bool = True
    broker_blocked: str = ""
    database: bool = True

    async def database_answers(self) -> bool:
        return self.database


def _accepted(operation_id: str, command: Command) -> Operation:
    return Operation(
        **command_fields(command),
        operation_id=operation_id,
        state=State.ACCEPTED,
        created_at="2026-11-20T10:00:00Z",
    )
