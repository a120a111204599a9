"""The index over all instances of the fleet.

A write touches one record and its places in the index. A query costs what it returns, or where it
combines several conditions, the instances that meet the rarest one.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

from cachetools import LRUCache
from sortedcontainers import SortedKeyList

from services.gateway.fleet.change_set import ChangeCollector, InstanceKey
from services.gateway.fleet.instance_record import InstanceRecord
from services.gateway.fleet.protection_index import ProtectionIndex
from services.gateway.fleet.uuid_index import UuidIndex
from shared.contracts.instances import Instance

# Labels whose instances are kept sorted.
SORTED_LABELS = 64
by_sort_key = attrgetter("sort_key")
# A condition: what it is about, and the value.
Facet = tuple[str, str]
# Dictionaries as ordered sets: a host may give thousands of instances one name.
RecordSets = dict[str, dict[InstanceRecord, None]]


class SortedRecords(Sequence[InstanceRecord]):
    """Records in the order of lists: what is used of `SortedKeyList`, which has no types."""

    @abstractmethod
    def add(self, record: InstanceRecord) -> None:
        """Add a record in O(log n)."""

    @abstractmethod
    def remove(self, record: InstanceRecord) -> None:
        """Remove a record in O(log n)."""


@dataclass(frozen=True, slots=True)
class InstanceQuery:
    """Which instances to return; None: any.

    `statuses` are LXD's, of which one must fit. Each of `labels` must be there, as
    `key`, or with its value as `key=value`.
    """

    host: str | None = None
    project: str | None = None
    type: str | None = None
    statuses: frozenset[str] | None = None
    labels: tuple[str, ...] = ()


class InstanceIndex:
    """All records of the fleet: sorted, by key, name, display name, uuid, host, state and label.

    `changes` collects what changes in them.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.uuids = UuidIndex(monotonic)
        self.changes = ChangeCollector()
        self.protections = ProtectionIndex(self.changes)
        self._by_key: dict[InstanceKey, InstanceRecord] = {}
        self._by_name: RecordSets = defaultdict(dict)
        self._by_display_name: RecordSets = defaultdict(dict)
        self._by_host: RecordSets = defaultdict(dict)
        self._by_label: RecordSets = defaultdict(dict)
        # Of the labels that were asked for, until one of their instances comes or goes.
        self._sorted_by_label: LRUCache[str, SortedRecords] = LRUCache(SORTED_LABELS)
        self._sorted = _no_records()
        # Few values, each of many instances.
        self._by_facet: dict[Facet, SortedRecords] = defaultdict(_no_records)

    def __len__(self) -> int:
        return len(self._by_key)

    def add(self, record: InstanceRecord) -> None:
        """Add a record that is not in the index."""
        record.changes = self.changes
        self.changes.instances.add(record.sort_key)
        self._by_key[record.sort_key] = record
        self._by_name[record.instance.name][record] = None
        self._by_host[record.host][record] = None
        self._sorted.add(record)
        self.protections.add(record)
        self._file(record, record.instance)
        if record.instance.uuid:
            self.uuids.add(record)

    def update(self, record: InstanceRecord, previous: Instance) -> None:
        """Follow a change of a record's instance; its name, project and uuid stay."""
        if _filed_under(record.instance) != _filed_under(previous):
            self._unfile(record, previous)
            self._file(record, record.instance)

    def remove(self, record: InstanceRecord) -> None:
        """Remove a record, with the name and uuid it was added with."""
        del self._by_key[record.sort_key]
        _drop(self._by_name, record.instance.name, record)
        _drop(self._by_host, record.host, record)
        self._sorted.remove(record)
        self.protections.remove(record)
        self._unfile(record, record.instance)
        if record.instance.uuid:
            self.uuids.remove(record)
        self.changes.instances.add(record.sort_key)
        record.changes = None

    def find(self, key: InstanceKey) -> InstanceRecord | None:
        """Return the record of a name, host and project."""
        return self._by_key.get(key)

    def with_name(self, name: str) -> Sequence[InstanceRecord]:
        """Return the records of one name."""
        return list(self._by_name.get(name, ()))

    def with_display_name(self, name: str) -> Sequence[InstanceRecord]:
        """Return the records of a display name, sorted, or else of this name in LXD."""
        of_lxd = (each for each in self._by_name.get(name, ()) if not each.instance.display_name)
        return sorted([*self._by_display_name.get(name, ()), *of_lxd], key=by_sort_key)

    def with_uuid(self, uuid: str) -> Sequence[InstanceRecord]:
        """Return the records that share a uuid, its holder first."""
        return self.uuids.with_uuid(uuid)

    def keys(self) -> list[InstanceKey]:
        """Return the keys of all records, unsorted."""
        return list(self._by_key)

    def of_host(self, host: str) -> Sequence[InstanceRecord]:
        """Return a host's records, unsorted."""
        return list(self._by_host.get(host, ()))

    def statuses(self) -> dict[str, int]:
        """Return the present statuses, and how many instances have each."""
        return {
            value: len(records)
            for (about, value), records in self._by_facet.items()
            if about == "status"
        }

    def select(self, query: InstanceQuery) -> Sequence[InstanceRecord]:
        """Return the matching records, sorted by name, host and project; do not change the list."""
        narrowing = [found for found in self._sets(query) if len(found) < len(self)]
        if not narrowing:
            return self._sorted
        rarest = min(narrowing, key=len)
        if len(narrowing) > 1:
            rarest = [record for record in rarest if matches(record.instance, record.host, query)]
        if isinstance(rarest, SortedKeyList):
            in_order: Sequence[InstanceRecord] = rarest
            return in_order
        return sorted(rarest, key=by_sort_key)

    def _sets(self, query: InstanceQuery) -> Iterator[Collection[InstanceRecord]]:
        if query.host is not None:
            yield self._by_host.get(query.host, {})
        for label in query.labels:
            yield self._labelled(label)
        for about, value in (("project", query.project), ("type", query.type)):
            if value is not None:
                yield self._by_facet.get((about, value), [])
        if query.statuses is not None:
            yield self._with_status(query.statuses)

    def _labelled(self, label: str) -> SortedRecords:
        if label not in self._sorted_by_label:
            self._sorted_by_label[label] = _sorted(self._by_label.get(label, ()))
        return self._sorted_by_label[label]

    def _with_status(self, statuses: frozenset[str]) -> Sequence[InstanceRecord]:
        found = [self._by_facet.get(("status", status)) for status in statuses]
        present = [records for records in found if records]
        if len(present) == 1:
            return present[0]
        return [record for records in present for record in records]

    def _file(self, record: InstanceRecord, instance: Instance) -> None:
        for facet in _facets(instance):
            self._by_facet[facet].add(record)
        for label in _labels(instance):
            self._by_label[label][record] = None
            self._sorted_by_label.pop(label, None)
        if instance.display_name:
            self._by_display_name[instance.display_name][record] = None

    def _unfile(self, record: InstanceRecord, instance: Instance) -> None:
        for facet in _facets(instance):
            self._by_facet[facet].remove(record)
            if not self._by_facet[facet]:
                del self._by_facet[facet]
        for label in _labels(instance):
            _drop(self._by_label, label, record)
            self._sorted_by_label.pop(label, None)
        if instance.display_name:
            _drop(self._by_display_name, instance.display_name, record)


def _no_records() -> SortedRecords:
    return _sorted(())


def _sorted(records: Iterable[InstanceRecord]) -> SortedRecords:
    in_order: SortedRecords = SortedKeyList(records, key=by_sort_key)
    return in_order


def _filed_under(instance: Instance) -> tuple[object, ...]:
    return instance.status, instance.type, instance.labels, instance.display_name


def _facets(instance: Instance) -> tuple[Facet, ...]:
    return (
        ("project", instance.project),
        ("type", instance.type),
        ("status", instance.status),
    )


def _labels(instance: Instance) -> set[str]:
    return {
        text
        for key, value in instance.labels.items()
        if "=" not in key  # cannot be asked for
        for text in (key, f"{key}={value}")
    }


def matches(instance: Instance, host: str, query: InstanceQuery) -> bool:
    """Whether a query asks for an instance."""
    return (
        query.host in {None, host}
        and query.project in {None, instance.project}
        and query.type in {None, instance.type}
        and (query.statuses is None or instance.status in query.statuses)
        and all(_has_label(instance.labels, label) for label in query.labels)
    )


def _has_label(labels: dict[str, str], label: str) -> bool:
    key, equals, value = label.partition("=")
    return key in labels and (not equals or labels[key] == value)


def _drop(index: RecordSets, key: str, record: InstanceRecord) -> None:
    del index[key][record]
    if not index[key]:
        del index[key]
