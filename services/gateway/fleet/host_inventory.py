"""The instances of one host, updated by events, samples and the outcomes of operations.

Updates are ordered by the worker's epoch and the instance's revision. An outcome can overtake
events that were published before it: what it deleted stays deleted until the events agree.

Instances beyond the host's memory budget are left out: those held first stay, and one that grows
too large is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from msgspec import Raw

from services.gateway.fleet.capacity import NOTHING
from services.gateway.fleet.encoded_protection import EncodedProtection
from services.gateway.fleet.encoded_samples import EncodedSample, SampleHead
from services.gateway.fleet.host_protections import HostProtections
from services.gateway.fleet.instance_index import InstanceIndex, by_sort_key
from services.gateway.fleet.instance_record import InstanceRecord, Order
from services.gateway.fleet.memory_budget import MemoryBudget, MemoryUse
from services.gateway.fleet.note_ownership import LocalKey, NoteOwnership
from shared.contracts.bounds import MOST_INSTANCES
from shared.contracts.events import MAX_BYTES, InstanceChanged, InstanceRemoved
from shared.contracts.instances import Instance
from shared.contracts.operations import Kind, Operation, is_gone
from shared.contracts.status import is_alive

# LXD's actions that begin a new run, also of an instance that was running before.
_NEW_RUN = frozenset({"instance-started", "instance-restarted"})
_NO_SAMPLE: tuple[SampleHead | None, Raw | None] = (None, None)


class HostInventory:
    """The instances of one host. Each update returns whether readers see a difference.

    `commitment` is the sum of all instances' limits, `samples_left_out` the number of samples
    beyond the budget; `protections` is what is known of their snapshots. `wall` returns Unix
    time, for the time of a change.
    """

    def __init__(
        self,
        host: str,
        index: InstanceIndex,
        wall: Callable[[], float],
        budget: MemoryBudget,
        memory: MemoryUse,
    ) -> None:
        self.commitment = NOTHING
        self.samples_left_out = 0
        self._host = host
        self._index = index
        self._wall = wall
        self._most = budget.instances
        self._memory = memory
        self._newest: Order = (0, 0)
        self._records: dict[LocalKey, InstanceRecord] = {}
        self._notes = NoteOwnership(self._records)
        self.protections = HostProtections(index.protections, memory)
        self._deleted: dict[LocalKey, str] = {}
        self._left_out: set[LocalKey] = set()

    def __len__(self) -> int:
        return len(self._records)

    @property
    def duplicates(self) -> int:
        """How many instances are duplicates: another instance held their uuid first."""
        return self._index.uuids.duplicates_on(self._host)

    @property
    def left_out(self) -> int:
        """How many reported instances are beyond the budget."""
        return len(self._left_out)

    @property
    def headroom(self) -> int:
        """How many more instances of the largest size the budget admits."""
        return max(
            0, min(self._most - len(self), self._memory.available // MAX_BYTES[InstanceChanged])
        )

    def duplicate_uuids(self) -> tuple[str, ...]:
        """Return the uuids of the duplicates."""
        if not self.duplicates:
            return ()
        duplicates = {record.instance.uuid for record in self._records.values() if record.duplicate}
        holders = {
            record.instance.uuid for record in self._records.values() if not record.duplicate
        }
        return tuple(sorted(duplicates - holders))

    def records(self) -> list[InstanceRecord]:
        """Return the records, sorted by name."""
        return sorted(self._records.values(), key=by_sort_key)

    def instances(self) -> tuple[Instance, ...]:
        """Return the newest state of each instance."""
        return tuple(record.instance for record in self._records.values())

    def change_times(self) -> dict[str, float]:
        """Return when each instance last changed, by uuid."""
        return {
            record.instance.uuid: record.changed_at
            for record in self._records.values()
            if record.instance.uuid and record.changed_at is not None
        }

    def restore(
        self, instances: Iterable[Instance], epoch: int, change_times: Mapping[str, float]
    ) -> None:
        """Restore the saved instances, and when they changed."""
        self.replace(instances, epoch)
        for record in self._records.values():
            record.changed_at = change_times.get(record.instance.uuid)

    def clear(self) -> None:
        """Drop all instances."""
        for key in list(self._records):
            self._drop(key)
        self._left_out.clear()

    def replace(self, instances: Iterable[Instance], epoch: int) -> bool:
        """Hold exactly the instances of a full inventory; newer states of them stay."""
        by_key = {(instance.project, instance.name): instance for instance in instances}
        self._deleted = {
            key: uuid
            for key, uuid in self._deleted.items()
            if key in by_key and by_key[key].uuid == uuid
        }
        gone = [key for key in self._records if key not in by_key]
        for key in gone:
            self._drop(key)
        obsolete = self._left_out - by_key.keys()
        self._left_out -= obsolete
        # Instances held already go first: new ones get what is left of the budget.
        in_order = sorted(by_key.items(), key=lambda item: item[0] not in self._records)
        changed = [self._put(instance, (epoch, instance.revision)) for _, instance in in_order]
        return bool(gone) or bool(obsolete) or any(changed)

    def apply_change(self, event: InstanceChanged) -> bool:
        """Apply one changed instance."""
        order = (event.epoch, event.instance.revision)
        differs = self._put(event.instance, order, changed_at=self._wall())
        record = self._records.get((event.instance.project, event.instance.name))
        if record is None or event.action not in _NEW_RUN:
            return differs
        self._memory.add(-record.sample_size)
        return record.clear_sample() or differs

    def apply_removal(self, event: InstanceRemoved) -> bool:
        """Drop an instance, unless its name was reported again since."""
        key = (event.project, event.name)
        self._deleted.pop(key, None)
        self._newest = max(self._newest, (event.epoch, event.revision))
        record = self._records.get(key)
        if record is None:
            return self._discard_left_out(key)
        if (event.epoch, event.revision) < record.order:
            return False
        self._drop(key)
        return True

    def apply_outcome(self, operation: Operation) -> bool:
        """Apply an operation's outcome to its instance, if it is held and still the same one.

        Only a creation adds an instance, and only if nothing newer was reported by the host: the
        operation may be old, and its instance gone since.
        """
        key = (operation.project, operation.instance)
        record = self._records.get(key)
        if record is None:
            return self._add_created(operation)
        if record.instance.uuid != operation.uuid:
            return False
        if is_gone(operation):
            self._delete(key, operation.uuid)
            return True
        after = operation.after
        if after is None or after.uuid != operation.uuid:
            return False
        if (after.project, after.name) != key:
            self._delete(key, operation.uuid)
            self._deleted.pop((after.project, after.name), None)
        order = (operation.after_epoch, after.revision)
        return self._put(after, order, changed_at=self._wall())

    def apply_sample(self, event: EncodedSample) -> None:
        """Set the sample of each running instance, and clear those that the event does not hold.

        A sample counts only for the instance with its uuid.
        """
        samples = {(head.project, head.name): (head, body) for head, body in event.instances}
        self._memory.add(-sum(record.sample_size for record in self._records.values()))
        available, total = self._memory.available, 0
        self.samples_left_out = 0
        for key, record in self._records.items():
            head, body = samples.get(key, _NO_SAMPLE)
            if head is None or body is None or not _is_sample_of(head.uuid, record.instance):
                record.clear_sample()
            elif total + len(body) > available:
                self.samples_left_out += 1
                record.clear_sample()
            else:
                record.set_sample(head, body, event.at)
                total += len(body)
        self._memory.add(total)
        self._index.changes.samples.add(self._host)

    def apply_protection(self, event: EncodedProtection) -> bool:
        """Replace what the host has reported of its instances' protection."""
        return self.protections.apply(event, self._records)

    def _add_created(self, operation: Operation) -> bool:
        instance = operation.after
        if operation.kind is not Kind.CREATE or instance is None or instance.uuid != operation.uuid:
            return False
        order = (operation.after_epoch, instance.revision)
        return order > self._newest and self._put(instance, order, changed_at=self._wall())

    def _put(self, instance: Instance, order: Order, *, changed_at: float | None = None) -> bool:
        """Record a newer state; `changed_at` is that of an instance not held before."""
        key = (instance.project, instance.name)
        if self._deleted.get(key, None) == instance.uuid:
            return False
        record = self._records.get(key)
        if record and order <= record.order:
            return False
        self._newest = max(self._newest, order)
        if record and record.instance.uuid == instance.uuid:
            return self._update(key, record, instance, order)
        if record:
            self._drop(key)
        return (
            self._add(key, InstanceRecord(self._host, instance, order, changed_at))
            or record is not None
        )

    def _update(
        self, key: LocalKey, record: InstanceRecord, instance: Instance, order: Order
    ) -> bool:
        size, commitment = record.size + record.sample_size, record.commitment
        previous = record.instance
        differs = record.update(instance, order, self._wall())
        self._index.update(record, previous)
        self._notes.update(key, record, previous)
        self._memory.add(record.size + record.sample_size - size)
        if record.commitment != commitment:
            self.commitment = self.commitment.minus(commitment).plus(record.commitment)
        if self._memory.exceeded:
            self._drop(key)
            self._leave_out(key)
        return differs

    def _add(self, key: LocalKey, record: InstanceRecord) -> bool:
        if len(self) >= self._most or not self._memory.fits(record.size):
            return self._leave_out(key)
        self._left_out.discard(key)
        self._records[key] = record
        record.protection = self.protections.of(key, record.instance.uuid)
        self._index.add(record)
        self._notes.add(key, record)
        self._memory.add(record.size)
        self.commitment = self.commitment.plus(record.commitment)
        return True

    def _leave_out(self, key: LocalKey) -> bool:
        """Count an instance beyond the budget; return whether it is a new one."""
        if key in self._left_out or len(self._left_out) >= MOST_INSTANCES:
            return False
        self._left_out.add(key)
        return True

    def _discard_left_out(self, key: LocalKey) -> bool:
        if key not in self._left_out:
            return False
        self._left_out.discard(key)
        return True

    def _delete(self, key: LocalKey, uuid: str) -> None:
        """Drop an instance that was deleted, whatever late events say."""
        self._deleted[key] = uuid
        if len(self._deleted) > MOST_INSTANCES:
            # Only a host that never sends a full inventory gets here.
            del self._deleted[next(iter(self._deleted))]
        self._drop(key)

    def _drop(self, key: LocalKey) -> None:
        gone = self._records.pop(key)
        self._index.remove(gone)
        self._notes.remove(key, gone)
        self._memory.add(-gone.size - gone.sample_size)
        self.commitment = self.commitment.minus(gone.commitment)


def _is_sample_of(uuid: str, instance: Instance) -> bool:
    return instance.uuid == uuid and is_alive(instance.status)
