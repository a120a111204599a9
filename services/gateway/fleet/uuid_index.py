"""Which of the instances that share a uuid is identified by it: the holder.

LXD lets anybody write any `volatile.uuid`, so a host can claim that of another host's instance. The
first to hold it keeps it; the others are duplicates, identified by host, project and name only. The
uuid of a new instance is reserved for the host that creates it, whatever others claim meanwhile.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from cachetools import FIFOCache, TTLCache

if TYPE_CHECKING:
    from services.gateway.fleet.instance_record import InstanceRecord

# A renamed instance may be gone for a moment; its host may take its uuid back for so long.
RETURN_S = 60.0
# More are never created at once; the oldest reservations are dropped first.
MOST_RESERVED = 10_000


@dataclass(slots=True)
class Reservation:
    """The host for whose new instance a uuid is reserved; `created`: the creation is done."""

    host: str
    created: bool = False


class UuidIndex:
    """The records by uuid; keeps their `duplicate` flags up to date."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        # By uuid and host, in the order of arrival.
        self._records: dict[str, dict[str, dict[InstanceRecord, None]]] = defaultdict(dict)
        self._holders: dict[str, InstanceRecord] = {}
        self._reserved: FIFOCache[str, Reservation] = FIFOCache(MOST_RESERVED)
        # The host that held a uuid last, for as long as it may take it back.
        self._last_hosts: TTLCache[str, str] = TTLCache(inf, RETURN_S, monotonic)
        self._duplicates: Counter[str] = Counter()
        # Uuids of which only duplicates were restored.
        self._orphaned: set[str] = set()

    def add(self, record: InstanceRecord) -> None:
        """Add a record that is not in the index."""
        uuid, host = record.instance.uuid, record.host
        self._records[uuid].setdefault(host, {})[record] = None
        holder = self._holders.get(uuid)
        if not self._outranks(host, uuid, holder):
            self._set_duplicate(record, duplicate=True)
            return
        if holder:
            self._set_duplicate(holder, duplicate=True)
        self._hold(uuid, record)

    def remove(self, record: InstanceRecord) -> None:
        """Remove a record; if it was the holder, the first of the others becomes it."""
        uuid, host = record.instance.uuid, record.host
        records = self._records[uuid]
        del records[host][record]
        if not records[host]:
            del records[host]
        self._set_duplicate(record, duplicate=False)
        if self._holders.get(uuid) is record:
            del self._holders[uuid]
            self._last_hosts[uuid] = host
            self._release(uuid, host)
            self._promote(uuid, host)
        if not records:
            del self._records[uuid]
            self._last_hosts.pop(uuid, None)
            self._orphaned.discard(uuid)

    def with_uuid(self, uuid: str) -> Sequence[InstanceRecord]:
        """Return the records that share a uuid, its holder first."""
        holder = self._holders.get(uuid)
        others = [record for record in _all(self._records.get(uuid, {})) if record is not holder]
        return [holder, *others] if holder else others

    def reserved_for(self, uuid: str) -> str | None:
        """Return the host that a uuid is reserved for."""
        reservation = self._reserved.get(uuid)
        return reservation.host if reservation else None

    def duplicates_on(self, host: str) -> int:
        """Return how many records of a host are duplicates."""
        return self._duplicates[host]

    def reserve(self, uuid: str, host: str) -> None:
        """Reserve a uuid for the host that creates its instance; others are duplicates."""
        self._reserved[uuid] = Reservation(host)
        holder = self._holders.get(uuid)
        if holder and holder.host != host:
            self._set_duplicate(holder, duplicate=True)
            del self._holders[uuid]
            self._promote(uuid, host)

    def end_creation(self, uuid: str, host: str, *, created: bool) -> None:
        """Record that the creation that a uuid is reserved for has ended."""
        reservation = self._reserved.get(uuid)
        if reservation is None or reservation.host != host:
            return
        reservation.created = created
        if not created or uuid in self._holders:
            del self._reserved[uuid]
            self._promote(uuid, host)

    def demote(self, duplicates: Collection[tuple[str, str]]) -> None:
        """Mark these, each a host and a uuid, as duplicates that a restart restored."""
        for host, uuid in duplicates:
            holder = self._holders.get(uuid)
            if holder is None or holder.host != host:
                continue
            self._set_duplicate(holder, duplicate=True)
            del self._holders[uuid]
            originals = (each for each in self._records[uuid] if (each, uuid) not in duplicates)
            original = next(originals, None)
            if original is None:
                self._orphaned.add(uuid)
            else:
                self._promote(uuid, original)

    def settle(self) -> None:
        """Promote duplicates whose original did not come back, once all hosts have reported."""
        for uuid in list(self._orphaned):
            self._promote(uuid, "")
        self._orphaned.clear()

    def _outranks(self, host: str, uuid: str, holder: InstanceRecord | None) -> bool:
        """Whether a new record of a host replaces the holder of a uuid."""
        reservation = self._reserved.get(uuid)
        if reservation is not None:
            return host == reservation.host and (holder is None or holder.host != host)
        if holder is None:
            return True
        return host == self._last_hosts.get(uuid) != holder.host

    def _hold(self, uuid: str, record: InstanceRecord) -> None:
        self._holders[uuid] = record
        self._set_duplicate(record, duplicate=False)
        self._orphaned.discard(uuid)
        reservation = self._reserved.get(uuid)
        if reservation and reservation.created:
            del self._reserved[uuid]

    def _promote(self, uuid: str, host: str) -> None:
        """Make the first record the holder of a uuid without one, preferring this host's."""
        records = self._records.get(uuid)
        if uuid in self._holders or not records:
            return
        chosen = host if host in records else next(iter(records))
        if self._outranks(chosen, uuid, None):
            self._hold(uuid, next(iter(records[chosen])))

    def _release(self, uuid: str, host: str) -> None:
        reservation = self._reserved.get(uuid)
        if reservation and reservation.created and reservation.host == host:
            del self._reserved[uuid]

    def _set_duplicate(self, record: InstanceRecord, *, duplicate: bool) -> None:
        if record.duplicate is not duplicate:
            self._duplicates[record.host] += 1 if duplicate else -1
            record.set_duplicate(duplicate=duplicate)


def _all(records: dict[str, dict[InstanceRecord, None]]) -> Iterator[InstanceRecord]:
    return (record for same_host in records.values() for record in same_host)
