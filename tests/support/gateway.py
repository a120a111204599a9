"""Fakes of what the gateway's HTTP side stands on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from services.gateway.fleet.name_resolution import require_unique
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.ports import (
    Caller,
    Change,
    Elsewhere,
    OperationFilter,
    Target,
    nowhere_else,
)
from services.gateway.vms.pending import PendingCreations
from services.gateway.vms.snapshots import DescribedSnapshot
from shared.contracts.errors import (
    FleetError,
    FleetViewNotReady,
    HostNotFound,
    IdempotencyKeyReused,
    OperationNotCancellable,
    OperationNotFound,
)
from shared.contracts.operations import Operation, State
from shared.contracts.worker_api import InstanceLog
from tests.support.known import a_host, known


@dataclass
class FakeFleet:
    """A fleet view that holds what a test puts in; `change` tells the watchers."""

    known_hosts: list[HostView] = field(default_factory=lambda: [a_host()])
    known_instances: list[InstanceView] = field(default_factory=lambda: [known()])
    version: int = 7
    ready: bool = True
    reads: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    reserved: dict[str, str] = field(default_factory=dict)
    _watchers: list[Callable[[], None]] = field(default_factory=list)

    def hosts(self) -> Sequence[HostView]:
        self._check_ready()
        return sorted(self.known_hosts, key=lambda known: known.host)

    def host(self, host: str) -> HostView:
        for known_host in self.known_hosts:
            if known_host.host == host:
                return known_host
        raise HostNotFound(host)

    def instances(self, host: str | None = None) -> Sequence[InstanceView]:
        self._check_ready()
        self.reads += 1
        if host is not None:
            self.host(host)
        fitting = [each for each in self.known_instances if host in {None, each.host}]
        return sorted(fitting, key=lambda each: (each.instance.name, each.host))

    def instance(
        self, name: str, host: str | None = None, project: str | None = None
    ) -> InstanceView:
        named = [each for each in self.instances(host) if each.instance.name == name]
        return require_unique(name, named, host, project)

    def named(self, name: str) -> Sequence[InstanceView]:
        return [each for each in self.instances() if each.instance.name == name]

    def with_uuid(self, uuid: str) -> Sequence[InstanceView]:
        return [each for each in self.instances() if each.instance.uuid == uuid]

    def reserved_for(self, uuid: str) -> str | None:
        return self.reserved.get(uuid)

    def shows(self, host: str, sequence: int) -> bool:
        return self.outcomes.get(host, 0) >= sequence

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        self._watchers.append(changed)
        return lambda: self._watchers.remove(changed)

    @property
    def watched(self) -> bool:
        """Whether anybody still waits for changes."""
        return bool(self._watchers)

    def change(
        self,
        *,
        instances: list[InstanceView] | None = None,
        hosts: list[HostView] | None = None,
    ) -> None:
        """Put in a new state, with the next version."""
        self.known_instances = self.known_instances if instances is None else instances
        self.known_hosts = self.known_hosts if hosts is None else hosts
        self.version += 1
        for watcher in list(self._watchers):
            watcher()

    def _check_ready(self) -> None:
        if not self.ready:
            raise FleetViewNotReady


@dataclass
class FakeOperations:
    """Operations that end as the test wants.

    `ends` is what becomes of every operation; `refusal` is raised by submit instead. While `held`
    is given and not set, operations go on. `coming` are the creations among them.
    """

    ends: dict[str, object] = field(default_factory=lambda: {"state": State.DONE})
    refusal: FleetError | None = None
    held: asyncio.Event | None = None
    submitted: list[Change] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    wanted: list[OperationFilter] = field(default_factory=list)
    known: dict[str, Operation] = field(default_factory=dict)
    keys: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    list_refusal: FleetError | None = None
    coming: PendingCreations = field(default_factory=PendingCreations)
    _watchers: list[Callable[[Operation], None]] = field(default_factory=list)

    async def submit(self, change: Change, elsewhere: Elsewhere = nowhere_else) -> Operation:
        if self.refusal is not None:
            raise self.refusal
        self.submitted.append(change)
        operation = self.learn(_accepted(f"op-{len(self.submitted)}", change))
        if change.idempotency_key is not None:
            mine = (change.caller.principal, change.idempotency_key)
            self.keys[mine] = (operation.operation_id, change.fingerprint)
        return operation

    async def recall(self, caller: Caller, key: str, fingerprint: str) -> Operation | None:
        operation_id, known_fingerprint = self.keys.get((caller.principal, key), ("", fingerprint))
        if known_fingerprint != fingerprint:
            raise IdempotencyKeyReused(key)
        return self.known.get(operation_id)

    async def wait(self, operation_id: str, timeout_s: float) -> Operation:
        self.waits.append(timeout_s)
        operation = await self.get(operation_id)
        if operation.final or not await self._released(timeout_s):
            return operation
        return self.end(operation_id, **self.ends)

    async def get(self, operation_id: str) -> Operation:
        if operation_id not in self.known:
            raise OperationNotFound(operation_id)
        return self.known[operation_id]

    async def list(self, wanted: OperationFilter) -> Sequence[Operation]:
        if self.list_refusal is not None:
            raise self.list_refusal
        self.wanted.append(wanted)
        return list(reversed(self.known.values()))

    async def cancel(self, operation_id: str) -> Operation:
        if (await self.get(operation_id)).final:
            raise OperationNotCancellable(operation_id)
        return self.end(operation_id, state=State.CANCELLED)

    def watch(self, learnt: Callable[[Operation], None]) -> Callable[[], None]:
        self._watchers.append(learnt)
        return lambda: self._watchers.remove(learnt)

    @property
    def watched(self) -> bool:
        """Whether anybody still waits for news."""
        return bool(self._watchers)

    def end(self, operation_id: str, **changes: object) -> Operation:
        """Change an operation as a worker would report it."""
        return self.learn(msgspec.structs.replace(self.known[operation_id], **changes))

    def learn(self, operation: Operation) -> Operation:
        """Take an operation as it is now, and tell the watchers."""
        self.known[operation.operation_id] = operation
        self.coming.learn(operation)
        for learnt in list(self._watchers):
            learnt(operation)
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

    `asked` are the instances whose snapshots were listed.
    """

    of: dict[str, list[DescribedSnapshot]] = field(default_factory=dict)
    asked: list[Target] = field(default_factory=list)
    refusal: FleetError | None = None

    async def list(self, target: Target) -> Sequence[DescribedSnapshot]:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append(target)
        return self.of.get(target.uuid, [])


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


def _accepted(operation_id: str, change: Change) -> Operation:
    return Operation(
        operation_id=operation_id,
        host=change.target.host,
        kind=change.kind,
        instance=change.target.name,
        uuid=change.target.uuid,
        principal=change.caller.principal,
        arguments=change.arguments,
        state=State.ACCEPTED,
        created_at="2026-11-20T10:00:00Z",
        correlation_id=change.caller.correlation_id,
    )
