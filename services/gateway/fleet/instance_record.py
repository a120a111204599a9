"""One instance of the fleet view, and the indexes over all instances.

A write touches one record and its indexes; sorting waits for the next read that needs it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import NamedTuple

from msgspec.structs import replace

from services.gateway.fleet.capacity import Amount, commitment_of
from services.gateway.fleet.memory_budget import size_of
from services.gateway.fleet.uuid_index import UuidIndex
from services.gateway.fleet.views import InstanceView
from shared.contracts.instances import Instance, InstanceSample
from shared.contracts.status import is_alive

# The order of an instance's states: the worker's epoch, then the instance's revision in it.
Order = tuple[int, int]


class Freshness(NamedTuple):
    """Whether a host is online, and the seconds since it was heard if not."""

    online: bool
    seconds: float


FRESH = Freshness(True, 0.0)


class InstanceRecord:
    """One instance of one host: its newest state and the sample of its present run.

    `changed_at` is the Unix time of the last change seen; None: none yet. `size` and `sample_size`
    are bytes, `commitment` is the sum of its limits.
    """

    __slots__ = (
        "_freshness",
        "_view",
        "changed_at",
        "commitment",
        "duplicate",
        "foreign_note",
        "instance",
        "order",
        "sample",
        "sample_size",
        "sampled_at",
        "size",
        "sort_key",
    )

    def __init__(
        self, host: str, instance: Instance, order: Order, changed_at: float | None = None
    ) -> None:
        self.sort_key = (instance.name, host, instance.project)
        self.instance = instance
        self.order = order
        self.changed_at = changed_at
        self.size = size_of(instance)
        self.commitment: Amount = commitment_of(instance)
        self.sample: InstanceSample | None = None
        self.sample_size = 0
        self.sampled_at: str | None = None
        self.duplicate = False
        self.foreign_note = False
        self._view: InstanceView | None = None
        self._freshness: Freshness | None = None

    @property
    def host(self) -> str:
        """The id of its host."""
        return self.sort_key[1]

    def update(self, instance: Instance, order: Order, now: float) -> bool:
        """Update to a newer state; return whether readers see a difference."""
        differs = replace(self.instance, revision=instance.revision) != instance
        self.instance, self.order = instance, order
        if differs:
            self.changed_at, self._view = now, None
            self.size, self.commitment = size_of(instance), commitment_of(instance)
        if not is_alive(instance.status):
            self.set_sample(None, None)
        return differs

    def set_sample(self, sample: InstanceSample | None, at: str | None, size: int = 0) -> bool:
        """Set or clear the sample of `size` bytes; return whether readers see a difference."""
        if self.sample is None and sample is None:
            return False
        self.sample, self.sampled_at, self.sample_size, self._view = sample, at, size, None
        return True

    def set_duplicate(self, *, duplicate: bool) -> None:
        """Set whether another record holds its uuid."""
        if self.duplicate is not duplicate:
            self.duplicate, self._view = duplicate, None

    def set_foreign_note(self, *, foreign_note: bool) -> None:
        """Set whether its note may be that of another instance (see `note_ownership`)."""
        if self.foreign_note is not foreign_note:
            self.foreign_note, self._view = foreign_note, None

    def view(self, freshness: Freshness) -> InstanceView:
        """Return the view; the same object until something changes."""
        if self._view is None or self._freshness != freshness:
            self._freshness = freshness
            self._view = InstanceView(
                host=self.host,
                host_online=freshness.online,
                age_s=freshness.seconds,
                instance=self.instance,
                sample=self.sample,
                sampled_at=self.sampled_at,
                duplicate=self.duplicate,
                foreign_note=self.foreign_note,
                changed_at=self.changed_at,
            )
        return self._view


class InstanceIndex:
    """All records of the fleet: sorted, by name and by uuid."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        # Dictionaries as ordered sets: a host may give thousands of instances one name.
        self._by_name: dict[str, dict[InstanceRecord, None]] = defaultdict(dict)
        self.uuids = UuidIndex(monotonic)
        self._ordered: list[InstanceRecord] | None = []

    def add(self, record: InstanceRecord) -> None:
        """Add a record that is not in the index."""
        self._by_name[record.instance.name][record] = None
        if record.instance.uuid:
            self.uuids.add(record)
        self._ordered = None

    def remove(self, record: InstanceRecord) -> None:
        """Remove a record, with the name and uuid it was added with."""
        _drop(self._by_name, record.instance.name, record)
        if record.instance.uuid:
            self.uuids.remove(record)
        self._ordered = None

    def with_name(self, name: str) -> Sequence[InstanceRecord]:
        """Return the records of one name."""
        return list(self._by_name.get(name, ()))

    def with_uuid(self, uuid: str) -> Sequence[InstanceRecord]:
        """Return the records that share a uuid, its holder first."""
        return self.uuids.with_uuid(uuid)

    def ordered(self) -> list[InstanceRecord]:
        """Return all records by name, then host; sorted only after an addition or removal."""
        if self._ordered is None:
            every = (record for records in self._by_name.values() for record in records)
            self._ordered = sorted(every, key=attrgetter("sort_key"))
        return self._ordered


def _drop(index: dict[str, dict[InstanceRecord, None]], key: str, record: InstanceRecord) -> None:
    del index[key][record]
    if not index[key]:
        del index[key]
