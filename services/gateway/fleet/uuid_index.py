"""Which of the instances that share a uuid is the one that the uuid identifies: its holder.

LXD lets anybody write any `volatile.uuid`, so a host can claim that of another host's instance. Who
held it first keeps it; the others are copies, which only their place identifies. A uuid that is
given to a new instance is reserved for the host that creates it, whatever others claim meanwhile.
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

# An instance that is renamed may be gone for a moment; for so long its host may take its uuid back.
RETURN_S = 60.0
# More are not created at once; the oldest reservations go first.
MOST_RESERVED = 10_000


@dataclass(slots=True)
class Reservation:
    """The host for whose new instance a uuid is reserved; `created`: it says that it is there."""

    host: str
    created: bool = False


class UuidIndex:
    """The entries by their uuids; copies are flagged as they come and go."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        # By uuid and host, in the order in which they came.
        self._sharing: dict[str, dict[str, dict[InstanceRecord, None]]] = defaultdict(dict)
        self._holders: dict[str, InstanceRecord] = {}
        self._reserved: FIFOCache[str, Reservation] = FIFOCache(MOST_RESERVED)
        # The host that held a uuid last, for as long as it may take it back.
        self._left: TTLCache[str, str] = TTLCache(inf, RETURN_S, monotonic)
        self._copies: Counter[str] = Counter()
        # Uuids of which copies alone were restored.
        self._orphaned: set[str] = set()

    def add(self, entry: InstanceRecord) -> None:
        """Take in an entry that is not there yet."""
        uuid, host = entry.instance.uuid, _host(entry)
        self._sharing[uuid].setdefault(host, {})[entry] = None
        holder = self._holders.get(uuid)
        if not self._outranks(host, uuid, holder):
            self._flag(entry, duplicate=True)
            return
        if holder:
            self._flag(holder, duplicate=True)
        self._hold(uuid, entry)

    def remove(self, entry: InstanceRecord) -> None:
        """Drop an entry; if it was the holder, the first of the others takes its place."""
        uuid, host = entry.instance.uuid, _host(entry)
        sharing = self._sharing[uuid]
        del sharing[host][entry]
        if not sharing[host]:
            del sharing[host]
        self._flag(entry, duplicate=False)
        if self._holders.get(uuid) is entry:
            del self._holders[uuid]
            self._left[uuid] = host
            self._forget_creation(uuid, host)
            self._promote(uuid, host)
        if not sharing:
            del self._sharing[uuid]
            self._left.pop(uuid, None)
            self._orphaned.discard(uuid)

    def of(self, uuid: str) -> Sequence[InstanceRecord]:
        """Return the entries that share a uuid, its holder first."""
        holder = self._holders.get(uuid)
        others = [entry for entry in _all(self._sharing.get(uuid, {})) if entry is not holder]
        return [holder, *others] if holder else others

    def reserved_for(self, uuid: str) -> str | None:
        """Return the host that a uuid is reserved for."""
        reservation = self._reserved.get(uuid)
        return reservation.host if reservation else None

    def copies_on(self, host: str) -> int:
        """Return how many entries of a host are copies."""
        return self._copies[host]

    def reserve(self, uuid: str, host: str) -> None:
        """Keep a new uuid for the host that creates its instance; claims of others are copies."""
        self._reserved[uuid] = Reservation(host)
        holder = self._holders.get(uuid)
        if holder and _host(holder) != host:
            self._flag(holder, duplicate=True)
            del self._holders[uuid]
            self._promote(uuid, host)

    def end_creation(self, uuid: str, host: str, *, created: bool) -> None:
        """Learn that the creation a uuid is reserved for has ended."""
        reservation = self._reserved.get(uuid)
        if reservation is None or reservation.host != host:
            return
        reservation.created = created
        if not created or uuid in self._holders:
            del self._reserved[uuid]
            self._promote(uuid, host)

    def demote(self, copies: Collection[tuple[str, str]]) -> None:
        """Take it that these, each a host and a uuid, were copies before a restart."""
        for host, uuid in copies:
            holder = self._holders.get(uuid)
            if holder is None or _host(holder) != host:
                continue
            self._flag(holder, duplicate=True)
            del self._holders[uuid]
            originals = (each for each in self._sharing[uuid] if (each, uuid) not in copies)
            original = next(originals, None)
            if original is None:
                self._orphaned.add(uuid)
            else:
                self._promote(uuid, original)

    def settle(self) -> None:
        """Let copies be holders whose original did not come back, once all hosts have reported."""
        for uuid in list(self._orphaned):
            self._promote(uuid, "")
        self._orphaned.clear()

    def _outranks(self, host: str, uuid: str, holder: InstanceRecord | None) -> bool:
        """Whether a newcomer on a host is to hold a uuid instead of its holder."""
        reservation = self._reserved.get(uuid)
        if reservation is not None:
            return host == reservation.host and (holder is None or _host(holder) != host)
        if holder is None:
            return True
        return host == self._left.get(uuid) != _host(holder)

    def _hold(self, uuid: str, entry: InstanceRecord) -> None:
        self._holders[uuid] = entry
        self._flag(entry, duplicate=False)
        self._orphaned.discard(uuid)
        reservation = self._reserved.get(uuid)
        if reservation and reservation.created:
            del self._reserved[uuid]

    def _promote(self, uuid: str, host: str) -> None:
        """Let the first entry hold the uuid that has no holder, of this host if it has one."""
        sharing = self._sharing.get(uuid)
        if uuid in self._holders or not sharing:
            return
        chosen = host if host in sharing else next(iter(sharing))
        if self._outranks(chosen, uuid, None):
            self._hold(uuid, next(iter(sharing[chosen])))

    def _forget_creation(self, uuid: str, host: str) -> None:
        reservation = self._reserved.get(uuid)
        if reservation and reservation.created and reservation.host == host:
            del self._reserved[uuid]

    def _flag(self, entry: InstanceRecord, *, duplicate: bool) -> None:
        if entry.duplicate is not duplicate:
            self._copies[_host(entry)] += 1 if duplicate else -1
            entry.flag(duplicate=duplicate)


def _host(entry: InstanceRecord) -> str:
    return entry.key[1]


def _all(sharing: dict[str, dict[InstanceRecord, None]]) -> Iterator[InstanceRecord]:
    return (entry for entries in sharing.values() for entry in entries)
