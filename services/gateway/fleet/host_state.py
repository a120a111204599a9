"""The state of one host, and how each event changes it.

A worker starts an epoch with a heartbeat: only then, and only if its daemon's certificate is the
pinned one, do the other events of its epoch count. A heartbeat with another certificate marks the
host as not trusted and is otherwise ignored: the host itself falls silent and goes offline.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from services.gateway.clock import Clock
from services.gateway.fleet.certificate_pin import CertificatePin
from services.gateway.fleet.encoded_protection import EncodedProtection
from services.gateway.fleet.encoded_samples import EncodedSample
from services.gateway.fleet.event_cursor import EventCursor
from services.gateway.fleet.host_inventory import HostInventory
from services.gateway.fleet.instance_index import InstanceIndex
from services.gateway.fleet.memory_budget import (
    NOTHING_LEFT_OUT,
    LeftOut,
    MemoryBudget,
    MemoryUse,
    size_of,
)
from services.gateway.fleet.recent_runs import RecentRuns
from services.gateway.fleet.remote_images import RemoteImages
from services.gateway.fleet.views import Availability, HostPart, HostView, host_part
from shared.contracts.events import (
    Heartbeat,
    HostDescribed,
    ImageServersRead,
    InstanceChanged,
    InstanceRemoved,
    Inventory,
)
from shared.contracts.instances import Instance
from shared.contracts.operations import Operation
from shared.contracts.policies import PolicyRun

MISSED_INTERVALS = 3
FIRST_INTERVAL_S = 5.0
# Bounds for what a host reports, so that it neither flaps nor stays online for ever.
SHORTEST_INTERVAL_S, LONGEST_INTERVAL_S = 1.0, 60.0

WorkerEvent = Inventory | InstanceChanged | InstanceRemoved


@dataclass(frozen=True, slots=True)
class Reaction:
    """What an event calls for.

    `changed`: readers see a difference. `needs_inventory`: events are missing, a full inventory
    must be requested. `needs_operations`: the worker is new or was offline, its operations must be
    requested. `left_out` is what exceeds the host's budget. `refused`: there are too many hosts.
    """

    changed: bool = False
    needs_inventory: bool = False
    needs_operations: bool = False
    left_out: LeftOut = NOTHING_LEFT_OUT
    refused: bool = False


NOTHING = Reaction()
REFUSED = Reaction(refused=True)


@dataclass(frozen=True, slots=True)
class StoredHost:
    """A host as the database keeps it. Times are Unix seconds; `epoch` is its worker's.

    `instances` is the last inventory with the changes since, `inventory_at` its time (None: never).
    `change_times` says when an instance last changed, by uuid; `duplicate_uuids` are those that
    another host's instance held first. `exchange` is the exchange that the host publishes to;
    empty: an earlier release did not save it.
    """

    host: str
    fingerprint: str
    epoch: int
    first_seen: float
    last_seen: float
    instances: tuple[Instance, ...] = ()
    inventory_at: float | None = None
    change_times: Mapping[str, float] = field(default_factory=dict)
    duplicate_uuids: tuple[str, ...] = ()
    exchange: str = ""


class HostState:
    """One host of the fleet view.

    `exchange` is the exchange that the host publishes to; empty: not known yet.
    """

    def __init__(self, host: str, index: InstanceIndex, clock: Clock, budget: MemoryBudget) -> None:
        self.host = host
        self.pin = CertificatePin()
        self.exchange = ""
        self._memory = MemoryUse(budget.size)
        self.inventory = HostInventory(host, index, clock.wall, budget, self._memory)
        self._clock = clock
        self._first_seen = clock.wall()
        self._cursor = EventCursor()
        self._heartbeat: Heartbeat | None = None
        self._skew_s: float | None = None
        # Monotonic, and of this process only.
        self._alive_at: float | None = None
        self._heard_at: float | None = None
        self._inventory_at: float | None = None
        self._sample_order = (0, 0)
        self._sample: EncodedSample | None = None
        self._sample_at: float | None = None
        self._resources: HostDescribed | None = None
        self._resources_size = self._remote_images_size = 0
        self._own_images_left_out = self._remote_images_left_out = 0
        self.remote_images: RemoteImages | None = None
        self.runs = RecentRuns(self._memory)
        self.pruned = 0
        self._protection_at: float | None = None

    @property
    def online(self) -> bool:
        """Whether the worker was heard within three of its intervals."""
        return self._is_online(self._clock.monotonic())

    @property
    def lxd_connected(self) -> bool:
        """Whether the worker reached its LXD when last heard."""
        return self._heartbeat.lxd_connected if self._heartbeat else self._alive_at is not None

    @property
    def has_reported(self) -> bool:
        """Whether its full inventory is complete, or cannot come because LXD is unavailable."""
        return self._cursor.complete or self._lxd_disconnected

    @property
    def has_inventory(self) -> bool:
        """Whether a full inventory was ever received."""
        return self._inventory_at is not None

    @property
    def needs_inventory(self) -> bool:
        """Whether a full inventory is missing, and the worker could send a trusted one."""
        return self.pin.verified and not self.has_reported

    @property
    def protection_age_s(self) -> float | None:
        """How long ago it has reported how its instances are protected; None: never."""
        return self._age_s(self._protection_at)

    @property
    def left_out(self) -> LeftOut:
        """What the host has reported beyond its budget."""
        return LeftOut(
            instances=self.inventory.left_out,
            samples=self.inventory.samples_left_out,
            protections=self.inventory.protections.left_out,
            images=self._own_images_left_out + self._remote_images_left_out,
        )

    def apply_heartbeat(self, heartbeat: Heartbeat) -> Reaction:
        """Apply a heartbeat, unless its certificate is another one or its epoch older."""
        if heartbeat.epoch < self._cursor.epoch:
            return NOTHING
        if not self.pin.accepts(heartbeat.fingerprint):
            was_trusted, self.pin.trusted = self.pin.trusted, False
            return Reaction(changed=was_trusted)
        before, was_online = self._visible(), self.online
        restarted = self._cursor.start_epoch(heartbeat.epoch)
        self.pin.verified = self.pin.verified and not restarted
        self.pin.verify(heartbeat.fingerprint)
        self._cursor.record_published(heartbeat.sequence)
        self._record_heartbeat(heartbeat)
        return Reaction(
            changed=self._visible() != before,
            needs_inventory=self.needs_inventory,
            needs_operations=restarted or not was_online,
        )

    def apply_event(self, event: WorkerEvent) -> Reaction:
        """Apply an event of the verified epoch; ignore any other."""
        if not self._is_from_verified_epoch(event.epoch):
            return NOTHING
        was_online = self.online
        changed = self._apply_in_order(event)
        self._alive_at = self._heard_at = self._clock.monotonic()
        return Reaction(
            changed=changed or not was_online,
            needs_inventory=self.needs_inventory,
            needs_operations=not was_online,
        )

    def apply_sample(self, event: EncodedSample) -> Reaction:
        """Apply the newest sample; ignore late ones and those of an older epoch."""
        order = (event.epoch, event.sequence)
        if order <= self._sample_order or not self.pin.trusted:
            return NOTHING
        self.inventory.apply_sample(event)
        # The instances' samples are held in their records only.
        self._sample_order = order
        self._sample = dataclasses.replace(event, instances=())
        self._sample_at = self._clock.monotonic()
        return Reaction(changed=True)

    def apply_resources(self, event: HostDescribed) -> Reaction:
        """Apply the host's resources for new instances, from the verified epoch only."""
        if not self._is_from_verified_epoch(event.epoch):
            return NOTHING
        self._memory.add(-self._resources_size)
        size, self._own_images_left_out = size_of(event), 0
        if not self._memory.fits(size):
            self._own_images_left_out = len(event.images)
            size, event = 0, replace(event, images=[], networks=[], projects=[])
        self._memory.add(size)
        self._resources, self._resources_size = event, size
        return Reaction(changed=True)

    def apply_remote_images(self, event: ImageServersRead, images: RemoteImages) -> Reaction:
        """Apply the images of the host's image servers, from the verified epoch only.

        A server whose images exceed the budget counts as not read yet.
        """
        if not self._is_from_verified_epoch(event.epoch):
            return NOTHING
        self._memory.add(-self._remote_images_size)
        size, self._remote_images_left_out = size_of(event), 0
        if not self._memory.fits(size):
            self._remote_images_left_out = sum(len(each or ()) for each in event.servers.values())
            size, images = 0, dict.fromkeys(images)
        self._memory.add(size)
        self.remote_images, self._remote_images_size = images, size
        return Reaction(changed=True)

    def apply_protection(self, event: EncodedProtection) -> Reaction:
        """Apply how the host's instances are protected, from the verified epoch only."""
        if not self._is_from_verified_epoch(event.epoch):
            return NOTHING
        self._protection_at = self._clock.monotonic()
        return Reaction(changed=self.inventory.apply_protection(event))

    def apply_run(self, run: PolicyRun) -> set[str]:
        """Hold a run of a policy; return the ids of the runs that differ, or are gone."""
        if not self.pin.trusted:
            return set()
        known = self.runs.find(run.operation_id)
        changed = self.runs.record(run)
        if changed and run.pruned_count > (before := known.pruned_count if known else 0):
            self.pruned += run.pruned_count - before
        return changed

    def apply_outcome(self, operation: Operation) -> None:
        """Apply a finished operation's outcome; the cursor stays."""
        if self.pin.trusted:
            self.inventory.apply_outcome(operation)

    def mark_stale(self) -> None:
        """Assume that events were missed."""
        self._cursor.complete = False

    def restore(self, stored: StoredHost) -> None:
        """Restore the saved state; this does not make the host online."""
        since_wall = self._clock.monotonic() - self._clock.wall()
        self._first_seen = stored.first_seen
        self._heard_at = stored.last_seen + since_wall
        if stored.inventory_at is not None:
            self._inventory_at = stored.inventory_at + since_wall
        self._cursor.start_epoch(stored.epoch)
        self.exchange = stored.exchange
        self.pin.fingerprint = stored.fingerprint
        self.pin.verified = bool(stored.fingerprint and stored.epoch)
        self.inventory.restore(stored.instances, stored.epoch, stored.change_times)

    def to_stored(self) -> StoredHost:
        """Return what to save; the epoch only if it is verified."""
        since_wall = self._clock.monotonic() - self._clock.wall()
        heard_at = self._clock.monotonic() if self._heard_at is None else self._heard_at
        return StoredHost(
            host=self.host,
            fingerprint=self.pin.fingerprint,
            epoch=self._cursor.epoch if self.pin.verified else 0,
            first_seen=self._first_seen,
            last_seen=heard_at - since_wall,
            instances=self.inventory.instances(),
            change_times=self.inventory.change_times(),
            duplicate_uuids=self.inventory.duplicate_uuids(),
            exchange=self.exchange,
            inventory_at=None if self._inventory_at is None else self._inventory_at - since_wall,
        )

    def availability(self, now: float) -> Availability:
        """Return whether the host can be worked with at a monotonic time: cheaper than a view."""
        online = self._is_online(now)
        return Availability(self.host, online, online and self.lxd_connected)

    def part(self) -> HostPart:
        """Return what the entries of its instances show of it: cheaper than a view."""
        online = self.online
        return host_part(self._sample, online=online, lxd_connected=online and self.lxd_connected)

    def view(self) -> HostView:
        """Return the present view of the host."""
        heartbeat, online = self._heartbeat, self.online
        return HostView(
            host=self.host,
            online=online,
            lxd_connected=online and self.lxd_connected,
            trusted=self.pin.trusted,
            fingerprint=self.pin.fingerprint,
            server=heartbeat.server if heartbeat else "",
            lxd=heartbeat.lxd if heartbeat else "",
            server_name=heartbeat.server_name if heartbeat else "",
            age_s=self._age_s(self._heard_at),
            inventory_age_s=self._age_s(self._inventory_at),
            clock_skew_s=self._skew_s,
            instances=len(self.inventory),
            sample=self._sample,
            sample_age_s=self._age_s(self._sample_at),
            journal_length=heartbeat.journal_length if heartbeat else None,
            resources=self._resources,
            commitment=self.inventory.commitment,
            duplicates=self.inventory.duplicates,
            remote_images=self.remote_images,
            left_out=self.left_out,
            headroom=self.inventory.headroom,
        )

    def _is_online(self, now: float) -> bool:
        if self._alive_at is None:
            return False
        reported_s = self._heartbeat.interval_s if self._heartbeat else FIRST_INTERVAL_S
        interval_s = min(max(SHORTEST_INTERVAL_S, reported_s), LONGEST_INTERVAL_S)
        return now - self._alive_at <= MISSED_INTERVALS * interval_s

    @property
    def _lxd_disconnected(self) -> bool:
        return self._heartbeat is not None and not self._heartbeat.lxd_connected

    def _is_from_verified_epoch(self, epoch: int) -> bool:
        pin = self.pin
        return pin.trusted and pin.verified and epoch == self._cursor.epoch

    def _apply_in_order(self, event: WorkerEvent) -> bool:
        if isinstance(event, Inventory):
            if not self._cursor.advance_to_inventory(event.sequence):
                return False
            self._inventory_at = self._clock.monotonic()
            return self.inventory.replace(event.instances, event.epoch)
        if not self._cursor.advance(event.sequence):
            return False
        if isinstance(event, InstanceChanged):
            return self.inventory.apply_change(event)
        return self.inventory.apply_removal(event)

    def _record_heartbeat(self, heartbeat: Heartbeat) -> None:
        self._heartbeat = heartbeat
        self._alive_at = self._heard_at = self._clock.monotonic()
        self._skew_s = _skew_s(heartbeat.clock, self._clock.wall())

    def _visible(self) -> tuple[object, ...]:
        heartbeat = self._heartbeat
        server = (heartbeat.server, heartbeat.lxd, heartbeat.server_name) if heartbeat else ()
        pin = (self.pin.fingerprint, self.pin.trusted)
        return (self.online, self.lxd_connected, pin, server)

    def _age_s(self, moment: float | None) -> float | None:
        return None if moment is None else max(0.0, self._clock.monotonic() - moment)


def _skew_s(clock: str, wall: float) -> float | None:
    try:
        skew_s = float(clock) - wall
    except ValueError:
        return None
    # "nan", "inf" and "1e400" are numbers to Python, but no time of day.
    return skew_s if math.isfinite(skew_s) else None
