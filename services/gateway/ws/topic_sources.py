"""Where the stream's topics come from: the fleet view, and the news of operations.

A source tells what may have changed since it was last asked. It need not be sure: the log compares.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from heapq import heapify, heapreplace
from typing import Any, Protocol

import msgspec

from services.gateway.error_boundary import EntrySubject, ErrorBoundary
from services.gateway.fleet.view import FleetView
from services.gateway.fleet.views import HostView, InstanceView, host_without_details
from services.gateway.operations.merge import merge_report
from services.gateway.operations.service import OperationService
from services.gateway.operations.store import OperationFilter
from services.gateway.responses.entries import encoded
from services.gateway.responses.operations import encoded_operation
from services.gateway.responses.stream import (
    host_entry,
    instance_entry,
)
from services.gateway.ws.change_log import LogEntry
from shared.contracts.bounds import clip
from shared.contracts.operations import Operation, State

# The newest operations are the topic; GET /api/operations knows the others.
NEWEST = 500


class Source(Protocol):
    """A topic's origin."""

    async def begin(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed` whenever there may be news; return what ends it.

        Raises DatabaseUnavailable when what is there cannot be read.
        """

    def candidates(self) -> Iterable[LogEntry]:
        """Return what may have changed since the last call; the first time, all there is."""


class InstanceSource:
    """The instances. The fleet view returns the same object until something of it changes."""

    def __init__(
        self, fleet: FleetView, *, secrets: bool, boundary: ErrorBoundary | None = None
    ) -> None:
        def present(known: InstanceView, host: HostView) -> dict[str, Any]:
            return instance_entry(known, host, secrets=secrets)

        self._fleet = fleet
        self._render = encoded(boundary or ErrorBoundary(), present)
        self._seen: dict[int, InstanceView] = {}
        self._machines: dict[str, tuple[object, ...]] = {}

    async def begin(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Watch the fleet view."""
        return self._fleet.watch(changed)

    def candidates(self) -> Iterable[LogEntry]:
        """Return the instances that are other objects than before, and those that are gone."""
        hosts = {known.host: known for known in self._fleet.hosts()}
        machines = {host: _machine(known) for host, known in hosts.items()}
        other = {host for host in hosts if machines[host] != self._machines.get(host)}
        present = {id(known): known for known in self._fleet.instances()}
        changed = [present[each] for each in present.keys() - self._seen.keys()]
        if other:
            changed += [known for known in present.values() if known.host in other]
        before = [self._seen[each] for each in self._seen.keys() - present.keys()]
        gone = {_key(known): _entry(known, None) for known in before}
        shown = {_key(known): self._shown(known, hosts) for known in changed}
        # To hold the objects keeps their ids from being given to others.
        self._seen, self._machines = present, machines
        return (gone | shown).values()

    def _shown(self, known: InstanceView, hosts: dict[str, HostView]) -> LogEntry:
        return _entry(known, self._render(known, hosts[known.host]))


class HostSource:
    """The hosts."""

    def __init__(
        self, fleet: FleetView, now: Callable[[], datetime], boundary: ErrorBoundary | None = None
    ) -> None:
        self._boundary = boundary or ErrorBoundary()
        self._fleet = fleet
        self._now = now
        self._seen: dict[str, HostView] = {}

    async def begin(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Watch the fleet view."""
        return self._fleet.watch(changed)

    def candidates(self) -> Iterable[LogEntry]:
        """Return the hosts of which more than the age changed, and those that are gone."""
        before, self._seen = self._seen, {known.host: known for known in self._fleet.hosts()}
        gone = [LogEntry(host, host, "", None) for host in before.keys() - self._seen.keys()]
        changed = [
            known
            for host, known in self._seen.items()
            if host not in before or _ageless(before[host]) != _ageless(known)
        ]
        return gone + [self._shown(known) for known in changed]

    def _shown(self, known: HostView) -> LogEntry:
        text = self._boundary.render(
            EntrySubject("host", known.host),
            lambda: msgspec.json.encode(host_entry(known, self._now())),
            lambda: msgspec.json.encode(host_entry(host_without_details(known), self._now())),
        )
        return LogEntry(known.host, known.host, "", text)


class OperationSource:
    """The newest operations, of each host a fair share of them, rendered by `view`."""

    def __init__(
        self,
        operations: OperationService,
        view: Callable[[Operation], Any],
        newest: int = NEWEST,
        boundary: ErrorBoundary | None = None,
    ) -> None:
        self._boundary = boundary or ErrorBoundary()
        self._operations = operations
        self._view = view
        self._newest = newest
        self._present: dict[str, Operation] = {}
        self._news: dict[tuple[str, str], Operation] = {}
        # The hosts of new submissions, by their ids: a gateway may hand one to another host.
        self._submitted_to: dict[str, str] = {}

    async def begin(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Watch the operations, and read those there are."""

        def learn(operation: Operation) -> None:
            if _is_submitted(operation):
                self._submitted_to[operation.operation_id] = operation.host
            self._news[_place(operation)] = operation
            changed()

        end = self._operations.watch(learn)
        with ExitStack() as undo:
            undo.callback(end)
            stored = await self._operations.list(OperationFilter(limit=self._newest))
            undo.pop_all()
        self._news = {_place(operation): operation for operation in stored} | self._news
        return end

    def candidates(self) -> Iterable[LogEntry]:
        """Return the operations with news, and those that newer ones displaced."""
        news, self._news = self._news, {}
        submitted_to, self._submitted_to = self._submitted_to, {}
        for reported in news.values():
            known = self._present.get(reported.operation_id, reported)
            moved = _is_submitted(known) and submitted_to.get(known.operation_id) == reported.host
            self._present[reported.operation_id] = (
                reported if moved else merge_report(known, reported)
            )
        displaced = _displaced(self._present.values(), self._newest)
        for each in displaced:
            del self._present[each.operation_id]
        named = {each.operation_id for each in news.values()} & self._present.keys()
        changed = [self._present[each] for each in named]
        gone = [_operation_entry(each, None) for each in displaced]
        return gone + [_operation_entry(each, self._text(each)) for each in changed]

    def _text(self, operation: Operation) -> bytes:
        return encoded_operation(operation, self._view, self._boundary)


def _displaced(present: Collection[Operation], newest: int) -> list[Operation]:
    """Return those that are more than `newest`: the oldest of whichever host has the most.

    So a host that has many, or dates its own ahead, displaces those of no other.
    """
    by_host: defaultdict[str, list[Operation]] = defaultdict(list)
    for each in sorted(present, key=lambda each: each.created_at, reverse=True):
        by_host[each.host].append(each)
    # The heap's first is the host with the most operations; of equal ones that with the oldest.
    most = [(-len(own), own[-1].created_at, host) for host, own in by_host.items()]
    heapify(most)
    displaced = []
    for _ in range(len(present) - newest):
        own = by_host[most[0][2]]
        displaced.append(own.pop())
        heapreplace(most, (-len(own), own[-1].created_at if own else "", most[0][2]))
    return displaced


def _place(operation: Operation) -> tuple[str, str]:
    # What another host says under the same id must not displace the operation's own news.
    return operation.host, operation.operation_id


def _is_submitted(operation: Operation) -> bool:
    """Whether no host has taken it yet."""
    return operation.state is State.SUBMITTING and not operation.sequence


def _key(known: InstanceView) -> str:
    return clip(f"{known.host}/{known.instance.project}/{known.instance.name}")


def _entry(known: InstanceView, text: bytes | None) -> LogEntry:
    instance = known.instance
    return LogEntry(_key(known), known.host, instance.name, text, instance.project)


def _operation_entry(operation: Operation, text: bytes | None) -> LogEntry:
    instance, project = operation.instance, operation.project
    key = clip(operation.operation_id)
    return LogEntry(key, operation.host, instance, text, project)


def _machine(host: HostView) -> tuple[object, ...]:
    """Return all of a host that its instances' entries show."""
    sample = host.sample.host if host.sample else None
    return (host.lxd_connected, sample and (sample.memory_total, sample.disk_total))


def _ageless(known: HostView) -> HostView:
    return replace(known, age_s=None, inventory_age_s=None, clock_skew_s=None, sample_age_s=None)
