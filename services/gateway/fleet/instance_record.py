"""One instance in the fleet view, and the indexes over all of them.

A write touches one entry and its indexes; sorting waits for the next read that needs it.
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

# A reading's place among all readings: the worker's epoch, then the instance's revision in it.
Order = tuple[int, int]


class Freshness(NamedTuple):
    """Whether a host is online, and for how long it has been silent if not."""

    online: bool
    seconds: float


FRESH = Freshness(True, 0.0)


class InstanceRecord:
    """One instance of one host: its newest reading and the sample of its present run.

    `changed_at` is the Unix time at which a reading was last seen to differ; None: never yet.
    `size` and `sample_size` are bytes, `commitment` is what its limits come to.
    """

    __slots__ = (
        "_age",
        "_known",
        "changed_at",
        "duplicate",
        "instance",
        "key",
        "note_is_anothers",
        "order",
        "promised",
        "sample",
        "sample_size",
        "sampled_at",
        "size",
    )

    def __init__(
        self, host: str, instance: Instance, order: Order, changed_at: float | None = None
    ) -> None:
        self.key = (instance.name, host, instance.project)
        self.instance = instance
        self.order = order
        self.changed_at = changed_at
        self.size = size_of(instance)
        self.promised: Amount = commitment_of(instance)
        self.sample: InstanceSample | None = None
        self.sample_size = 0
        self.sampled_at: str | None = None
        self.duplicate = False
        self.note_is_anothers = False
        self._known: InstanceView | None = None
        self._age: Freshness | None = None

    def renew(self, instance: Instance, order: Order, now: float) -> bool:
        """Take a newer reading of the same instance; return whether readers see a difference."""
        differs = replace(self.instance, revision=instance.revision) != instance
        self.instance, self.order = instance, order
        if differs:
            self.changed_at, self._known = now, None
            self.size, self.promised = size_of(instance), commitment_of(instance)
        if not is_alive(instance.status):
            self.measure(None, None)
        return differs

    def measure(self, sample: InstanceSample | None, at: str | None, size: int = 0) -> bool:
        """Take or clear the sample, of so many bytes; return whether readers see a difference."""
        if self.sample is None and sample is None:
            return False
        self.sample, self.sampled_at, self.sample_size, self._known = sample, at, size, None
        return True

    def flag(self, *, duplicate: bool) -> None:
        """Say whether another entry holds its uuid."""
        if self.duplicate is not duplicate:
            self.duplicate, self._known = duplicate, None

    def mark(self, *, note_is_anothers: bool) -> None:
        """Say whether its note may be that of another instance (see `noted`)."""
        if self.note_is_anothers is not note_is_anothers:
            self.note_is_anothers, self._known = note_is_anothers, None

    def known(self, age: Freshness) -> InstanceView:
        """Return the entry as readers get it; the same value until something changes."""
        if self._known is None or self._age != age:
            self._age = age
            self._known = InstanceView(
                host=self.key[1],
                host_online=age.online,
                age_s=age.seconds,
                instance=self.instance,
                sample=self.sample,
                sampled_at=self.sampled_at,
                duplicate=self.duplicate,
                note_is_anothers=self.note_is_anothers,
                changed_at=self.changed_at,
            )
        return self._known


class InstanceIndex:
    """All entries of the fleet: in order, by name and by uuid."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        # Dictionaries as ordered sets: a host may give thousands of instances one name.
        self._by_name: dict[str, dict[InstanceRecord, None]] = defaultdict(dict)
        self.uuids = UuidIndex(monotonic)
        self._ordered: list[InstanceRecord] | None = []

    def add(self, entry: InstanceRecord) -> None:
        """Take in an entry that is not there yet."""
        self._by_name[entry.instance.name][entry] = None
        if entry.instance.uuid:
            self.uuids.add(entry)
        self._ordered = None

    def remove(self, entry: InstanceRecord) -> None:
        """Drop an entry, as it was when it was added."""
        _drop(self._by_name, entry.instance.name, entry)
        if entry.instance.uuid:
            self.uuids.remove(entry)
        self._ordered = None

    def named(self, name: str) -> Sequence[InstanceRecord]:
        """Return the entries of one name."""
        return list(self._by_name.get(name, ()))

    def with_uuid(self, uuid: str) -> Sequence[InstanceRecord]:
        """Return the entries that share a uuid, its holder first."""
        return self.uuids.of(uuid)

    def ordered(self) -> list[InstanceRecord]:
        """Return all entries by name, then host; sorted anew only after entries came or went."""
        if self._ordered is None:
            every = (entry for entries in self._by_name.values() for entry in entries)
            self._ordered = sorted(every, key=attrgetter("key"))
        return self._ordered


def _drop(index: dict[str, dict[InstanceRecord, None]], key: str, entry: InstanceRecord) -> None:
    del index[key][entry]
    if not index[key]:
        del index[key]
