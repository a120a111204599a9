"""What is known of one host, and how each message changes it.

A worker introduces itself with a heartbeat: only then, and only if its daemon's certificate is the
pinned one, do the other events of its epoch count. A stranger's heartbeat marks the host as not
trusted and is otherwise not the host's: the host itself grows silent and goes offline.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from services.gateway.clock import Clock
from services.gateway.fleet.certificate_pin import CertificatePin
from services.gateway.fleet.event_cursor import EventCursor
from services.gateway.fleet.host_inventory import HostInventory
from services.gateway.fleet.instance_record import FRESH, Freshness, InstanceIndex
from services.gateway.fleet.memory_budget import (
    NOTHING_LEFT_OUT,
    LeftOut,
    MemoryBudget,
    MemoryUse,
    size_of,
)
from services.gateway.fleet.remote_images import RemoteImages
from services.gateway.fleet.views import HostView
from shared.contracts.events import (
    Heartbeat,
    HostDescribed,
    ImageServersRead,
    InstanceChanged,
    InstanceRemoved,
    Inventory,
    Sampled,
)
from shared.contracts.instances import Instance
from shared.contracts.operations import Operation

MISSED_INTERVALS = 3
FIRST_INTERVAL_S = 5.0
# A host that tells of odd intervals neither flaps nor stays online for ever.
SHORTEST_INTERVAL_S, LONGEST_INTERVAL_S = 1.0, 60.0

WorkerEvent = Inventory | InstanceChanged | InstanceRemoved


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a message calls for.

    `changed`: readers see something else. `inventory`: events are missing, a full inventory must be
    asked for. `appeared`: the worker is new or was away, its operations must be asked for.
    `left_out` is what the host's budget has no room for. `refused`: there are too many hosts.
    """

    changed: bool = False
    inventory: bool = False
    appeared: bool = False
    left_out: LeftOut = NOTHING_LEFT_OUT
    refused: bool = False


NOTHING = Reaction()
REFUSED = Reaction(refused=True)


@dataclass(frozen=True, slots=True)
class StoredHost:
    """A host as the database keeps it. Times are Unix seconds; `epoch` is its worker's.

    `instances` is the last inventory with the changes since, `inventory_at` its time (None: never).
    `changes` says when an instance was last seen to change, by uuid; `copies` are the uuids that
    another host's instance held first. `exchange` is the name of that to which the host publishes;
    empty: an earlier release did not keep it.
    """

    host: str
    fingerprint: str
    epoch: int
    first_seen: float
    last_seen: float
    instances: tuple[Instance, ...] = ()
    inventory_at: float | None = None
    changes: Mapping[str, float] = field(default_factory=dict)
    copies: tuple[str, ...] = ()
    exchange: str = ""


class HostState:
    """One host of the fleet view. `alive_at` is monotonic and of this process only.

    `exchange` is the name of that to which the host publishes; empty: it is not known.
    """

    def __init__(self, host: str, index: InstanceIndex, clock: Clock, budget: MemoryBudget) -> None:
        self.host = host
        self.identity = CertificatePin()
        self.exchange = ""
        self._room = MemoryUse(budget.size)
        self.holdings = HostInventory(host, index, clock.wall, budget, self._room)
        self._clock = clock
        self._first_seen = clock.wall()
        self._cursor = EventCursor()
        self._beat: Heartbeat | None = None
        self._skew_s: float | None = None
        self._alive_at: float | None = None
        self._heard_at: float | None = None
        self._inventory_at: float | None = None
        self._sampler = (0, 0)
        self._sampled: Sampled | None = None
        self._sampled_at: float | None = None
        self._described: HostDescribed | None = None
        self._described_size = self._shelves_size = 0
        self._images_left_out = self._served_left_out = 0
        self.shelves: RemoteImages | None = None

    @property
    def online(self) -> bool:
        """Whether the worker has shown life within three of its intervals."""
        told_s = self._beat.interval_s if self._beat else FIRST_INTERVAL_S
        interval_s = min(max(SHORTEST_INTERVAL_S, told_s), LONGEST_INTERVAL_S)
        silent_s = None if self._alive_at is None else self._clock.monotonic() - self._alive_at
        return silent_s is not None and silent_s <= MISSED_INTERVALS * interval_s

    @property
    def lxd_connected(self) -> bool:
        """Whether the worker, when last heard, reached its LXD."""
        return self._beat.lxd_connected if self._beat else self._alive_at is not None

    @property
    def has_reported(self) -> bool:
        """Whether its full inventory is here, or cannot come because its LXD is away."""
        return self._cursor.complete or self._lost_lxd

    @property
    def incomplete(self) -> bool:
        """Whether a full inventory is missing, could come and would be believed."""
        return self.identity.verified and not self.has_reported

    @property
    def age(self) -> Freshness:
        """How old everything known of the host is, in whole seconds."""
        return (
            FRESH if self.online else Freshness(False, float(int(self._since(self._heard_at) or 0)))
        )

    @property
    def left_out(self) -> LeftOut:
        """What the host has told and its budget has no room for."""
        return LeftOut(
            instances=self.holdings.left_out,
            samples=self.holdings.samples_left_out,
            images=self._images_left_out + self._served_left_out,
        )

    def heartbeat(self, beat: Heartbeat) -> Reaction:
        """Take a sign of life, unless it is a stranger's or of an older epoch."""
        if beat.epoch < self._cursor.epoch:
            return NOTHING
        if not self.identity.knows(beat.fingerprint):
            was_trusted, self.identity.trusted = self.identity.trusted, False
            return Reaction(changed=was_trusted)
        before, was_online = self._visible(), self.online
        restarted = self._cursor.enter(beat.epoch)
        self.identity.verified = self.identity.verified and not restarted
        self.identity.verify(beat.fingerprint)
        self._cursor.notice(beat.sequence)
        self._hear(beat)
        return Reaction(
            changed=self._visible() != before,
            inventory=self.incomplete,
            appeared=restarted or not was_online,
        )

    def take(self, event: WorkerEvent) -> Reaction:
        """Apply an event of the worker's verified epoch; any other one is ignored."""
        if not self._speaks_for_host(event.epoch):
            return NOTHING
        was_online = self.online
        changed = self._apply(event)
        self._alive_at = self._heard_at = self._clock.monotonic()
        return Reaction(
            changed=changed or not was_online,
            inventory=self.incomplete,
            appeared=not was_online,
        )

    def sample(self, sampled: Sampled) -> Reaction:
        """Take the newest sample; late ones and those of an older epoch are ignored."""
        order = (sampled.epoch, sampled.sequence)
        if order <= self._sampler or not self.identity.trusted:
            return NOTHING
        self.holdings.measure(sampled)
        # The instances' samples are held beside their instances, and nowhere else.
        self._sampler, self._sampled = order, replace(sampled, instances=[])
        self._sampled_at = self._clock.monotonic()
        return Reaction(changed=True)

    def describe(self, described: HostDescribed) -> Reaction:
        """Take what the host has to offer, from the worker's verified epoch only."""
        if not self._speaks_for_host(described.epoch):
            return NOTHING
        self._room.take(-self._described_size)
        size, self._images_left_out = size_of(described), 0
        if not self._room.fits(size):
            self._images_left_out = len(described.images)
            size, described = 0, replace(described, images=[], networks=[], projects=[])
        self._room.take(size)
        self._described, self._described_size = described, size
        return Reaction(changed=True)

    def stock(self, read: ImageServersRead, shelves: RemoteImages) -> Reaction:
        """Take what the host's image servers have, from the worker's verified epoch only.

        A server whose images find no room counts as one that was not read yet.
        """
        if not self._speaks_for_host(read.epoch):
            return NOTHING
        self._room.take(-self._shelves_size)
        size, self._served_left_out = size_of(read), 0
        if not self._room.fits(size):
            self._served_left_out = sum(len(images or ()) for images in read.servers.values())
            size, shelves = 0, dict.fromkeys(shelves)
        self._room.take(size)
        self.shelves, self._shelves_size = shelves, size
        return Reaction(changed=True)

    def finish(self, operation: Operation) -> None:
        """Show what a finished operation left behind; it moves no cursor."""
        if self.identity.trusted:
            self.holdings.finish(operation)

    def mark_stale(self) -> None:
        """Expect that events were missed."""
        self._cursor.complete = False

    def restore(self, stored: StoredHost) -> None:
        """Take what the database keeps; it is no sign of life."""
        since_wall = self._clock.monotonic() - self._clock.wall()
        self._first_seen = stored.first_seen
        self._heard_at = stored.last_seen + since_wall
        if stored.inventory_at is not None:
            self._inventory_at = stored.inventory_at + since_wall
        self._cursor.enter(stored.epoch)
        self.exchange = stored.exchange
        self.identity.pin = stored.fingerprint
        self.identity.verified = bool(stored.fingerprint and stored.epoch)
        self.holdings.restore(stored.instances, stored.epoch, stored.changes)

    def stored(self) -> StoredHost:
        """Return what the database should keep; an epoch only if it was verified."""
        since_wall = self._clock.monotonic() - self._clock.wall()
        heard_at = self._clock.monotonic() if self._heard_at is None else self._heard_at
        return StoredHost(
            host=self.host,
            fingerprint=self.identity.pin,
            epoch=self._cursor.epoch if self.identity.verified else 0,
            first_seen=self._first_seen,
            last_seen=heard_at - since_wall,
            instances=self.holdings.instances(),
            changes=self.holdings.changes(),
            copies=self.holdings.copies(),
            exchange=self.exchange,
            inventory_at=None if self._inventory_at is None else self._inventory_at - since_wall,
        )

    def known(self) -> HostView:
        """Return the host as readers get it now."""
        beat, online = self._beat, self.online
        return HostView(
            host=self.host,
            online=online,
            lxd_connected=online and self.lxd_connected,
            trusted=self.identity.trusted,
            fingerprint=self.identity.pin,
            server=beat.server if beat else "",
            lxd=beat.lxd if beat else "",
            server_name=beat.server_name if beat else "",
            age_s=self._since(self._heard_at),
            inventory_age_s=self._since(self._inventory_at),
            clock_skew_s=self._skew_s,
            instances=len(self.holdings),
            sample=self._sampled,
            sample_age_s=self._since(self._sampled_at),
            journal_length=beat.journal_length if beat else None,
            described=self._described,
            promised=self.holdings.promised,
            duplicates=self.holdings.duplicates,
            shelves=self.shelves,
            left_out=self.left_out,
            room=self.holdings.room,
        )

    @property
    def _lost_lxd(self) -> bool:
        return self._beat is not None and not self._beat.lxd_connected

    def _speaks_for_host(self, epoch: int) -> bool:
        identity = self.identity
        return identity.trusted and identity.verified and epoch == self._cursor.epoch

    def _apply(self, event: WorkerEvent) -> bool:
        if isinstance(event, Inventory):
            if not self._cursor.take_everything(event.sequence):
                return False
            self._inventory_at = self._clock.monotonic()
            return self.holdings.replace(event.instances, event.epoch)
        if not self._cursor.take(event.sequence):
            return False
        if isinstance(event, InstanceChanged):
            return self.holdings.change(event)
        return self.holdings.remove(event)

    def _hear(self, beat: Heartbeat) -> None:
        self._beat = beat
        self._alive_at = self._heard_at = self._clock.monotonic()
        self._skew_s = _skew_s(beat.clock, self._clock.wall())

    def _visible(self) -> tuple[object, ...]:
        beat = self._beat
        described = (beat.server, beat.lxd, beat.server_name) if beat else ()
        identity = (self.identity.pin, self.identity.trusted)
        return (self.online, self.lxd_connected, identity, described)

    def _since(self, moment: float | None) -> float | None:
        return None if moment is None else max(0.0, self._clock.monotonic() - moment)


def _skew_s(clock: str, wall: float) -> float | None:
    try:
        skew_s = float(clock) - wall
    except ValueError:
        return None
    # "nan", "inf" and "1e400" are numbers to Python, but no time of day.
    return skew_s if math.isfinite(skew_s) else None
