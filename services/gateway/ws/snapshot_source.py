"""The source of the topic `snapshots`: runs of policies, and how instances are protected."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

import msgspec

from services.gateway.error_boundary import EntrySubject, ErrorBoundary
from services.gateway.fleet.change_set import ChangeSet, InstanceKey
from services.gateway.fleet.encoded_protection import UNKNOWN
from services.gateway.fleet.view import FleetView
from services.gateway.responses.policy_runs import Explain, bare_run, policy_run
from services.gateway.responses.stream import (
    bare_protection_entry,
    protection_entry,
    run_entry,
)
from services.gateway.ws.change_log import LogEntry
from shared.contracts.bounds import clip
from shared.contracts.policies import PolicyRun

# Entries that are rendered before others get their turn: some 3 ms.
MOST_AT_ONCE = 50
# A run by its host and id, or an instance.
_Changed = tuple[str, str] | InstanceKey


class SnapshotTopicSource:
    """The runs that each host has reported last, and the instances of hosts that report.

    An instance of which nothing is known has no entry.
    """

    def __init__(
        self, fleet: FleetView, explain: Explain, boundary: ErrorBoundary | None = None
    ) -> None:
        self._fleet = fleet
        self._explain = explain
        self._boundary = boundary or ErrorBoundary()
        # In the order of their changes.
        self._changed: dict[_Changed, None] = {}

    async def start(self, on_change: Callable[[], None]) -> Callable[[], None]:
        """Watch the fleet view; the newest runs come first, then what is protected."""

        def record(changes: ChangeSet) -> None:
            self._changed.update(dict.fromkeys(changes.runs))
            self._changed.update(dict.fromkeys(changes.protections))
            if changes.runs or changes.protections:
                on_change()

        self._changed.update(dict.fromkeys(self._newest_runs()))
        self._changed.update(dict.fromkeys(self._fleet.keys()))
        return self._fleet.watch(record)

    def candidates(self) -> Iterable[LogEntry]:
        """Return some of what has changed or is gone; see `has_more`."""
        some = list(islice(self._changed, MOST_AT_ONCE))
        for key in some:
            del self._changed[key]
        return [self._run(*key) if len(key) == 2 else self._instance(key) for key in some]

    @property
    def has_more(self) -> bool:
        """Whether `candidates` has not returned everything yet."""
        return bool(self._changed)

    def _newest_runs(self) -> list[tuple[str, str]]:
        protections = self._fleet.protections
        found = [
            (run.started_at or run.slot, host, run.operation_id)
            for host in self._fleet.host_ids()
            for run_id in protections.run_ids(host)
            if (run := protections.run(host, run_id))
        ]
        return [(host, run_id) for _, host, run_id in sorted(found, reverse=True)]

    def _run(self, host: str, run_id: str) -> LogEntry:
        run, key = self._fleet.protections.run(host, run_id), clip(f"run/{host}/{run_id}")
        if run is None:
            return LogEntry(key, host, "", None)
        return LogEntry(key, host, run.instance, self._run_text(host, run), run.project)

    def _run_text(self, host: str, run: PolicyRun) -> bytes:
        return self._boundary.render(
            EntrySubject("run", host, run.operation_id),
            lambda: msgspec.json.encode(run_entry(policy_run(host, run, self._explain))),
            lambda: msgspec.json.encode(run_entry(bare_run(host, run))),
        )

    def _instance(self, key: InstanceKey) -> LogEntry:
        name, host, project = key
        return LogEntry(
            clip(f"protection/{host}/{project}/{name}"), host, name, self._text(key), project
        )

    def _text(self, key: InstanceKey) -> bytes | None:
        view, held = self._fleet.find(key), self._fleet.protections.of(key)
        if view is None or held.state == UNKNOWN:
            return None
        name, host, project = key

        return self._boundary.render(
            EntrySubject("protection", host, f"{project}/{name}"),
            lambda: msgspec.json.encode(protection_entry(view, held, self._explain)),
            lambda: msgspec.json.encode(bare_protection_entry(view)),
        )
