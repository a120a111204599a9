"""The sources of the topics: the fleet view, and the reports of operations.

A source returns what may have changed since the last call. It need not be exact: the log compares.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from heapq import heapify, heapreplace
from itertools import islice
from typing import Any, Protocol

import msgspec

from services.gateway.error_boundary import EntrySubject, ErrorBoundary
from services.gateway.fleet.change_set import ChangeSet, InstanceKey
from services.gateway.fleet.view import FleetView
from services.gateway.fleet.views import HostView, InstanceView, host_without_details
from services.gateway.operations.merge import merge_report
from services.gateway.operations.service import OperationService
from services.gateway.operations.store import OperationFilter
from services.gateway.responses.entry_cache import HostViews, encoded
from services.gateway.responses.operations import encoded_operation
from services.gateway.responses.stream import (
    host_entry,
    instance_entry,
)
from services.gateway.ws.change_log import LogEntry
from shared.contracts.bounds import clip
from shared.contracts.operations import Operation, State

# Instances that are rendered before others get their turn: some 3 ms.
MOST_AT_ONCE = 50
# The topic holds the newest operations; GET /api/operations lists the others.
NEWEST = 500


class Source(Protocol):
    """The source of a topic."""

    async def start(self, on_change: Callable[[], None]) -> Callable[[], None]:
        """Call `on_change` whenever something may have changed; return the function that stops it.

        Raises DatabaseUnavailable if the current entries cannot be read.
        """

    def candidates(self) -> Iterable[LogEntry]:
        """Return what may have changed since the last call; the first time, everything.

        Or the first part of it: then the source has more.
        """

    @property
    def has_more(self) -> bool:
        """Whether `candidates` has not returned everything yet."""


class InstanceSource:
    """The instances, as the fleet view says that they change.

    Those of a host that goes or comes back follow it a part at a time.
    """

    def __init__(
        self, fleet: FleetView, *, secrets: bool, boundary: ErrorBoundary | None = None
    ) -> None:
        def render(view: InstanceView, host: HostView) -> dict[str, Any]:
            return instance_entry(view, host, secrets=secrets)

        self._fleet = fleet
        self._render = encoded(boundary or ErrorBoundary(), render)
        self._changed_hosts: set[str] = set()
        # In the order of their changes.
        self._changed: dict[InstanceKey, None] = {}
        # Whether each is online, and its LXD connected.
        self._host_states: dict[str, tuple[bool, bool]] = {}

    async def start(self, on_change: Callable[[], None]) -> Callable[[], None]:
        """Watch the fleet view."""

        def record(changes: ChangeSet) -> None:
            self._changed_hosts |= changes.hosts
            self._changed.update(dict.fromkeys(changes.instances))
            if changes.instances or changes.hosts:
                on_change()

        self._changed_hosts.update(self._fleet.host_ids())
        return self._fleet.watch(record)

    def candidates(self) -> Iterable[LogEntry]:
        """Return some of the instances that changed or are gone; see `has_more`."""
        hosts = HostViews(self._fleet)
        for host in self._changed_hosts:
            self._follow(host, hosts)
        self._changed_hosts = set()
        some = list(islice(self._changed, MOST_AT_ONCE))
        for key in some:
            del self._changed[key]
        return [self._log_entry(key, hosts) for key in some]

    @property
    def has_more(self) -> bool:
        """Whether `candidates` has not returned everything yet."""
        return bool(self._changed)

    def _follow(self, host: str, hosts: HostViews) -> None:
        """Include all instances of a host that has gone or come back."""
        if not self._fleet.has_host(host):
            self._host_states.pop(host, None)
            return
        state = (hosts[host].online, hosts[host].lxd_connected)
        if self._host_states.get(host) != state:
            self._host_states[host] = state
            self._changed.update(dict.fromkeys(self._fleet.keys_of(host)))

    def _log_entry(self, key: InstanceKey, hosts: HostViews) -> LogEntry:
        name, host, project = key
        view = self._fleet.find(key)
        text = self._render(view, hosts[host]) if view else None
        return LogEntry(clip(f"{host}/{project}/{name}"), host, name, text, project)


class HostSource:
    """The hosts."""

    has_more = False

    def __init__(
        self, fleet: FleetView, now: Callable[[], datetime], boundary: ErrorBoundary | None = None
    ) -> None:
        self._boundary = boundary or ErrorBoundary()
        self._fleet = fleet
        self._now = now
        self._previous: dict[str, HostView] = {}
        self._changed: set[str] = set()

    async def start(self, on_change: Callable[[], None]) -> Callable[[], None]:
        """Watch the fleet view."""

        def record(changes: ChangeSet) -> None:
            self._changed |= changes.hosts
            on_change()

        self._changed.update(self._fleet.host_ids())
        return self._fleet.watch(record)

    def candidates(self) -> Iterable[LogEntry]:
        """Return the hosts with a change of more than their age, and the removed ones."""
        changed, self._changed = self._changed, set()
        return [entry for host in changed for entry in self._entries(host)]

    def _entries(self, host: str) -> Iterator[LogEntry]:
        before = self._previous.pop(host, None)
        if not self._fleet.has_host(host):
            if before:
                yield LogEntry(host, host, "", None)
            return
        view = self._previous[host] = self._fleet.host(host)
        if before is None or _ageless(before) != _ageless(view):
            yield self._log_entry(view)

    def _log_entry(self, view: HostView) -> LogEntry:
        text = self._boundary.render(
            EntrySubject("host", view.host),
            lambda: msgspec.json.encode(host_entry(view, self._now())),
            lambda: msgspec.json.encode(host_entry(host_without_details(view), self._now())),
        )
        return LogEntry(view.host, view.host, "", text)


class OperationSource:
    """The newest operations, with a fair share of each host, rendered by `render`."""

    has_more = False

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


def _operation_entry(operation: Operation, text: bytes | None) -> LogEntry:
    instance, project = operation.instance, operation.project
    key = clip(operation.operation_id)
    return LogEntry(key, operation.host, instance, text, project)


def _ageless(view: HostView) -> HostView:
    return replace(view, age_s=None, inventory_age_s=None, clock_skew_s=None, sample_age_s=None)
