"""The instances of the fleet by how they are protected, and how many there are of each host."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from operator import attrgetter

from sortedcontainers import SortedKeyList

from services.gateway.fleet.change_set import ChangeCollector
from services.gateway.fleet.encoded_protection import InstanceProtection
from services.gateway.fleet.instance_record import InstanceRecord

_by_sort_key = attrgetter("sort_key")


class ProtectionIndex:
    """The records of each state, sorted. A change costs what it touches, a count nothing."""

    def __init__(self, changes: ChangeCollector) -> None:
        self._changes = changes
        self._by_state: dict[str, SortedKeyList] = defaultdict(_no_records)
        self._counts: dict[str, Counter[str]] = defaultdict(Counter)

    def add(self, record: InstanceRecord) -> None:
        """Add a record."""
        self._file(record)
        self._changes.protections.add(record.sort_key)

    def remove(self, record: InstanceRecord) -> None:
        """Remove a record."""
        self._unfile(record)
        self._changes.protections.add(record.sort_key)

    def set(self, record: InstanceRecord, protection: InstanceProtection) -> bool:
        """Set how a record's instance is protected; return whether that differs."""
        before = record.protection
        if before.state == protection.state:
            record.protection = protection
        else:
            self._unfile(record)
            record.protection = protection
            self._file(record)
        if before == protection:
            return False
        self._changes.protections.add(record.sort_key)
        return True

    def with_state(self, state: str) -> Sequence[InstanceRecord]:
        """Return the records of a state, sorted by name, host and project; do not change them."""
        found: Sequence[InstanceRecord] = self._by_state.get(state, ())
        return found

    def counts(self) -> dict[str, int]:
        """Return how many instances of the fleet have each state."""
        return {state: len(records) for state, records in self._by_state.items() if records}

    def counts_of(self, host: str) -> Mapping[str, int]:
        """Return how many instances of a host have each state."""
        return self._counts.get(host, Counter())

    def _file(self, record: InstanceRecord) -> None:
        state = record.protection.state
        self._by_state[state].add(record)
        self._counts[record.host][state] += 1

    def _unfile(self, record: InstanceRecord) -> None:
        state, of_host = record.protection.state, self._counts[record.host]
        self._by_state[state].remove(record)
        of_host[state] -= 1
        if not of_host[state]:
            del of_host[state]
        if not of_host:
            del self._counts[record.host]


def _no_records() -> SortedKeyList:
    return SortedKeyList(key=_by_sort_key)
