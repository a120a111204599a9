"""The instances of one host, as their readings, samples and finished operations arrive.

Readings are ordered by the worker's epoch and the instance's revision. An outcome can overtake
events that were published before it: what it deleted stays deleted until the events agree.

What is beyond the host's budget is left out: those that were held first stay, and one that grows
too large goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter

from services.gateway.fleet.capacity import NOTHING
from services.gateway.fleet.instance_record import InstanceIndex, InstanceRecord, Order
from services.gateway.fleet.memory_budget import MemoryBudget, MemoryUse, size_of_sample
from services.gateway.fleet.note_ownership import LocalKey, NoteOwnership
from shared.contracts.bounds import MOST_INSTANCES
from shared.contracts.events import MAX_BYTES, InstanceChanged, InstanceRemoved, Sampled
from shared.contracts.instances import Instance
from shared.contracts.operations import Kind, Operation, is_gone
from shared.contracts.status import is_alive

# LXD's actions that begin a new run, also of an instance that was running before.
_NEW_RUN = frozenset({"instance-started", "instance-restarted"})


class HostInventory:
    """The instances of one host. Each method returns whether readers see a difference.

    `promised` is what the limits of all of them come to, `samples_left_out` how many of their
    samples found no room. `wall` is the Unix time, for saying when a difference was seen.
    """

    def __init__(
        self,
        host: str,
        index: InstanceIndex,
        wall: Callable[[], float],
        budget: MemoryBudget,
        room: MemoryUse,
    ) -> None:
        self.promised = NOTHING
        self.samples_left_out = 0
        self._host = host
        self._index = index
        self._wall = wall
        self._most = budget.instances
        self._room = room
        self._newest: Order = (0, 0)
        self._entries: dict[LocalKey, InstanceRecord] = {}
        self._noted = NoteOwnership(self._entries)
        self._deleted: dict[LocalKey, str] = {}
        self._left_out: set[LocalKey] = set()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def duplicates(self) -> int:
        """How many of them are copies: another instance held their uuid first."""
        return self._index.uuids.copies_on(self._host)

    @property
    def left_out(self) -> int:
        """How many instances were told and are not held."""
        return len(self._left_out)

    @property
    def room(self) -> int:
        """How many more instances would not be left out, were they as large as one may be."""
        return max(0, min(self._most - len(self), self._room.left // MAX_BYTES[InstanceChanged]))

    def copies(self) -> tuple[str, ...]:
        """Return the uuids of those that are copies."""
        if not self.duplicates:
            return ()
        copies = {entry.instance.uuid for entry in self._entries.values() if entry.duplicate}
        held = {entry.instance.uuid for entry in self._entries.values() if not entry.duplicate}
        return tuple(sorted(copies - held))

    def entries(self) -> list[InstanceRecord]:
        """Return the instances' entries by name."""
        return sorted(self._entries.values(), key=attrgetter("key"))

    def instances(self) -> tuple[Instance, ...]:
        """Return the newest reading of each instance."""
        return tuple(entry.instance for entry in self._entries.values())

    def changes(self) -> dict[str, float]:
        """Return when each instance was last seen to change, by uuid."""
        return {
            entry.instance.uuid: entry.changed_at
            for entry in self._entries.values()
            if entry.instance.uuid and entry.changed_at is not None
        }

    def restore(
        self, instances: Iterable[Instance], epoch: int, changes: Mapping[str, float]
    ) -> None:
        """Hold what was kept of earlier readings, and of when they changed."""
        self.replace(instances, epoch)
        for entry in self._entries.values():
            entry.changed_at = changes.get(entry.instance.uuid)

    def clear(self) -> None:
        """Hold nothing any more."""
        for place in list(self._entries):
            self._drop(place)
        self._left_out.clear()

    def replace(self, instances: Iterable[Instance], epoch: int) -> bool:
        """Hold what a full inventory lists and nothing else; newer readings of it stay."""
        listed = {(instance.project, instance.name): instance for instance in instances}
        self._deleted = {
            place: uuid
            for place, uuid in self._deleted.items()
            if place in listed and listed[place].uuid == uuid
        }
        gone = [place for place in self._entries if place not in listed]
        for place in gone:
            self._drop(place)
        unlisted = self._left_out - listed.keys()
        self._left_out -= unlisted
        # What is held already keeps its place: newcomers get what is left.
        in_order = sorted(listed.items(), key=lambda one: one[0] not in self._entries)
        put = [self._put(instance, (epoch, instance.revision)) for _, instance in in_order]
        return bool(gone) or bool(unlisted) or any(put)

    def change(self, event: InstanceChanged) -> bool:
        """Take one new reading."""
        order = (event.epoch, event.instance.revision)
        differs = self._put(event.instance, order, changed_at=self._wall())
        entry = self._entries.get((event.instance.project, event.instance.name))
        if entry is None or event.action not in _NEW_RUN:
            return differs
        self._room.take(-entry.sample_size)
        return entry.measure(None, None) or differs

    def remove(self, event: InstanceRemoved) -> bool:
        """Drop an instance, unless a newer reading found a namesake."""
        place = (event.project, event.name)
        self._deleted.pop(place, None)
        self._newest = max(self._newest, (event.epoch, event.revision))
        entry = self._entries.get(place)
        if entry is None:
            return self._take_back(place)
        if (event.epoch, event.revision) < entry.order:
            return False
        self._drop(place)
        return True

    def finish(self, operation: Operation) -> bool:
        """Show what an operation left behind, on an instance that is known and still the same.

        Only a creation adds one, and only if nothing newer was heard of the host: the record may be
        old, and what it saw gone since.
        """
        place = (operation.project, operation.instance)
        entry = self._entries.get(place)
        if entry is None:
            return self._appear(operation)
        if entry.instance.uuid != operation.uuid:
            return False
        if is_gone(operation):
            self._leave(place, operation.uuid)
            return True
        after = operation.after
        if after is None or after.uuid != operation.uuid:
            return False
        if (after.project, after.name) != place:
            self._leave(place, operation.uuid)
            self._deleted.pop((after.project, after.name), None)
        order = (operation.after_epoch, after.revision)
        return self._put(after, order, changed_at=self._wall())

    def measure(self, sampled: Sampled) -> bool:
        """Give each live instance its sample; one that the sample does not know loses its own.

        A sample counts only for the instance with the uuid it was taken of.
        """
        taken = {(sample.project, sample.name): sample for sample in sampled.instances}
        self._room.take(-sum(entry.sample_size for entry in self._entries.values()))
        self.samples_left_out = 0
        differs, size_of_all = False, 0
        for place, entry in self._entries.items():
            sample = taken.get(place)
            if sample and not _is_of(sample.uuid, entry.instance):
                sample = None
            size = size_of_sample(sample) if sample else 0
            if size_of_all + size > self._room.left:
                sample, size, self.samples_left_out = None, 0, self.samples_left_out + 1
            differs |= entry.measure(sample, sampled.at if sample else None, size)
            size_of_all += size
        self._room.take(size_of_all)
        return differs

    def _appear(self, operation: Operation) -> bool:
        made = operation.after
        if operation.kind is not Kind.CREATE or made is None or made.uuid != operation.uuid:
            return False
        order = (operation.after_epoch, made.revision)
        return order > self._newest and self._put(made, order, changed_at=self._wall())

    def _put(self, instance: Instance, order: Order, *, changed_at: float | None = None) -> bool:
        """Take a reading; `changed_at` is that of an instance that was not there before."""
        place = (instance.project, instance.name)
        if self._deleted.get(place, None) == instance.uuid:
            return False
        entry = self._entries.get(place)
        if entry and order <= entry.order:
            return False
        self._newest = max(self._newest, order)
        if entry and entry.instance.uuid == instance.uuid:
            return self._renew(place, entry, instance, order)
        if entry:
            self._drop(place)
        return (
            self._add(place, InstanceRecord(self._host, instance, order, changed_at))
            or entry is not None
        )

    def _renew(
        self, place: LocalKey, entry: InstanceRecord, instance: Instance, order: Order
    ) -> bool:
        before, was_promised = entry.size + entry.sample_size, entry.promised
        was = entry.instance
        differs = entry.renew(instance, order, self._wall())
        self._noted.renew(place, entry, was)
        self._room.take(entry.size + entry.sample_size - before)
        if entry.promised != was_promised:
            self.promised = self.promised.minus(was_promised).plus(entry.promised)
        if self._room.overdrawn:
            self._drop(place)
            self._leave_out(place)
        return differs

    def _add(self, place: LocalKey, entry: InstanceRecord) -> bool:
        if len(self) >= self._most or not self._room.fits(entry.size):
            return self._leave_out(place)
        self._left_out.discard(place)
        self._entries[place] = entry
        self._index.add(entry)
        self._noted.add(place, entry)
        self._room.take(entry.size)
        self.promised = self.promised.plus(entry.promised)
        return True

    def _leave_out(self, place: LocalKey) -> bool:
        """Count an instance that is not held; return whether it was not counted yet."""
        if place in self._left_out or len(self._left_out) >= MOST_INSTANCES:
            return False
        self._left_out.add(place)
        return True

    def _take_back(self, place: LocalKey) -> bool:
        if place not in self._left_out:
            return False
        self._left_out.discard(place)
        return True

    def _leave(self, place: LocalKey, uuid: str) -> None:
        """Drop an instance that is not there any more, whatever late events say."""
        self._deleted[place] = uuid
        if len(self._deleted) > MOST_INSTANCES:
            # Only a host that never sends a full inventory gets here.
            del self._deleted[next(iter(self._deleted))]
        self._drop(place)

    def _drop(self, place: LocalKey) -> None:
        gone = self._entries.pop(place)
        self._index.remove(gone)
        self._noted.remove(place, gone)
        self._room.take(-gone.size - gone.sample_size)
        self.promised = self.promised.minus(gone.promised)


def _is_of(uuid: str, instance: Instance) -> bool:
    return instance.uuid == uuid and is_alive(instance.status)
