"""The sources of the topics: the fleet view, and the reports of operations.

A source returns what may have changed since the last call. It need not be exact: the log compares.
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
from services.gateway.responses.entry_cache import encoded
from services.gateway.responses.operations import encoded_operation
from services.gateway.responses.stream import (
    host_entry,
    instance_entry,
)
from services.gateway.ws.change_log import LogEntry
from shared.contracts.bounds import clip
from shared.contracts.operations import Operation, State

# The topic holds the newest operations; GET /api/operations lists the others.
NEWEST = 500


class Source(Protocol):
    """The source of a topic."""

    async def start(self, on_change: Callable[[], None]) -> Callable[[], None]:
        """Call `on_change` whenever something may have changed; return the function that stops it.

        Raises DatabaseUnavailable if the current entries cannot be read.
        """

    def candidates(self) -> Iterable[LogEntry]:
        """Return what may have changed since the last call; the first time, everything."""


class InstanceSource:
    """The instances. The fleet view returns the same object until it changes."""

    def __init__(
        self, fleet: FleetView, *, secrets: bool, boundary: ErrorBoundary | None = None
    ) -> None:
        def render(view: InstanceView, host: HostView) -> dict[str, Any]:
            return instance_entry(view, host, secrets=secrets)

        self._fleet = fleet
        self._render = encoded(boundary or ErrorBoundary(), render)
        self._previous: dict[int, InstanceView] = {}
        self._host_capacities: dict[str, tuple[object, ...]] = {}

    async def start(self, on_change: Callable[[], None]) -> Callable[[], None]:
        """Watch the fleet view."""
        return self._fleet.watch(on_change)

    def candidates(self) -> Iterable[LogEntry]:
        """Return the instances that are other objects than before, and the removed ones."""
        hosts = {view.host: view for view in self._fleet.hosts()}
        capacities = {host: _capacity(view) for host, view in hosts.items()}
        changed_hosts = {
            host for host in hosts if capacities[host] != self._host_capacities.get(host)
        }
        present = {id(view): view for view in self._fleet.instances()}
        changed = [present[each] for each in present.keys() - self._previous.keys()]
        if changed_hosts:
            changed += [view for view in present.values() if view.host in changed_hosts]
        before = [self._previous[each] for each in self._previous.keys() - present.keys()]
        gone = {_key(view): _entry(view, None) for view in before}
        entries = {_key(view): self._log_entry(view, hosts) for view in changed}
        # Holding the objects keeps their ids from being reused.
        self._previous, self._host_capacities = present, capacities
        return (gone | entries).values()

    def _log_entry(self, view: InstanceView, hosts: dict[str, HostView]) -> LogEntry:
        return _entry(view, self._render(view, hosts[view.host]))


class HostSource:
    """The hosts."""

    def __init__(
        self, fleet: FleetView, now: Callable[[], datetime], boundary: ErrorBoundary | None = None
    ) -> None:
        self._boundary = boundary or ErrorBoundary()
        self._fleet = fleet
        self._now = now
        self._previous: dict[str, HostView] = {}

    async def start(self, on_change: Callable[[], None]) -> Callable[[], None]:
        """Watch the fleet view."""
        return self._fleet.watch(on_change)

    def candidates(self) -> Iterable[LogEntry]:
        """Return the hosts with a change of more than their age, and the removed ones."""
        before, self._previous = self._previous, {view.host: view for view in self._fleet.hosts()}
        gone = [LogEntry(host, host, "", None) for host in before.keys() - self._previous.keys()]
        changed = [
            view
            for host, view in self._previous.items()
            if host not in before or _ageless(before[host]) != _ageless(view)
        ]
        return gone + [self._log_entry(view) for view in changed]

    def _log_entry(self, view: HostView) -> LogEntry:
        text = self._boundary.render(
            EntrySubject("host", view.host),
            lambda: msgspec.json.encode(host_entry(view, self._now())),
            lambda: msgspec.json.encode(host_entry(host_without_details(view), self._now())),
        )
        return LogEntry(view.host, view.host, "", text)


class OperationSource:
    """The newest operations, with a fair share of each host, rendered by `render`."""

    def __init__(
        self,
        operations: OperationService,
        render: Callable[[Operation], Any],
        newest: int = NEWEST,
        boundary: ErrorBoundary | None = None,
    ) -> None:
        self._boundary = boundary or ErrorBoundary()
        self._operations = operations
        self._render = render
        self._newest = newest
        self._current: dict[str, Operation] = {}
        self._reports: dict[tuple[str, str], Operation] = {}
        # The hosts of new submissions, by operation: a gateway may move one to another host.
        self._submitted_to: dict[str, str] = {}

    async def start(self, on_change: Callable[[], None]) -> Callable[[], None]:
        """Watch the operations, and read the stored ones."""

        def record(operation: Operation) -> None:
            if _is_submitted(operation):
                self._submitted_to[operation.operation_id] = operation.host
            self._reports[_report_key(operation)] = operation
            on_change()

        unsubscribe = self._operations.watch(record)
        with ExitStack() as undo:
            undo.callback(unsubscribe)
            stored = await self._operations.list(OperationFilter(limit=self._newest))
            undo.pop_all()
        self._reports = {_report_key(operation): operation for operation in stored} | self._reports
        return unsubscribe

    def candidates(self) -> Iterable[LogEntry]:
        """Return the operations with reports, and those that newer ones displaced."""
        reports, self._reports = self._reports, {}
        submitted_to, self._submitted_to = self._submitted_to, {}
        for report in reports.values():
            view = self._current.get(report.operation_id, report)
            moved = _is_submitted(view) and submitted_to.get(view.operation_id) == report.host
            self._current[report.operation_id] = report if moved else merge_report(view, report)
        displaced = _displaced(self._current.values(), self._newest)
        for each in displaced:
            del self._current[each.operation_id]
        named = {each.operation_id for each in reports.values()} & self._current.keys()
        changed = [self._current[each] for each in named]
        gone = [_operation_entry(each, None) for each in displaced]
        return gone + [_operation_entry(each, self._text(each)) for each in changed]

    def _text(self, operation: Operation) -> bytes:
        return encoded_operation(operation, self._render, self._boundary)


def _displaced(present: Collection[Operation], newest: int) -> list[Operation]:
    """Return the operations beyond `newest`: the oldest ones of whichever host has the most.

    So a host with many, or with dates in the future, displaces only its own.
    """
    by_host: defaultdict[str, list[Operation]] = defaultdict(list)
    for each in sorted(present, key=lambda each: each.created_at, reverse=True):
        by_host[each.host].append(each)
    # The first of the heap is the host with the most operations; among equals the one with the
    # oldest.
    most = [(-len(own), own[-1].created_at, host) for host, own in by_host.items()]
    heapify(most)
    displaced = []
    for _ in range(len(present) - newest):
        own = by_host[most[0][2]]
        displaced.append(own.pop())
        heapreplace(most, (-len(own), own[-1].created_at if own else "", most[0][2]))
    return displaced


def _report_key(operation: Operation) -> tuple[str, str]:
    # Another host's report of the same id must not displace the operation's own.
    return operation.host, operation.operation_id


def _is_submitted(operation: Operation) -> bool:
    """Whether no host has accepted it yet."""
    return operation.state is State.SUBMITTING and not operation.sequence


def _key(view: InstanceView) -> str:
    return clip(f"{view.host}/{view.instance.project}/{view.instance.name}")


def _entry(view: InstanceView, text: bytes | None) -> LogEntry:
    instance = view.instance
    return LogEntry(_key(view), view.host, instance.name, text, instance.project)


def _operation_entry(operation: Operation, text: bytes | None) -> LogEntry:
    instance, project = operation.instance, operation.project
    key = clip(operation.operation_id)
    return LogEntry(key, operation.host, instance, text, project)


def _capacity(host: HostView) -> tuple[object, ...]:
    """Return what the entries of instances show of their host."""
    sample = host.sample.host if host.sample else None
    return (host.lxd_connected, sample and (sample.memory_total, sample.disk_total))


def _ageless(view: HostView) -> HostView:
    return replace(view, age_s=None, inventory_age_s=None, clock_skew_s=None, sample_age_s=None)
