"""The fleet view: what every host and instance looks like, fed by events, read at memory's speed.

It is pure: it is told the time by a clock, and says what should be asked of whom instead of asking.
A write costs what it touches; a read sorts only after instances came or went.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from services.gateway.clock import Clock
from services.gateway.fleet.host_state import (
    NOTHING,
    REFUSED,
    HostState,
    Reaction,
    StoredHost,
    WorkerEvent,
)
from services.gateway.fleet.instance_record import InstanceIndex, InstanceRecord
from services.gateway.fleet.memory_budget import DEFAULT, MemoryBudget
from services.gateway.fleet.name_resolution import require_unique
from services.gateway.fleet.remote_images import RemoteImages, index_by_alias
from services.gateway.fleet.views import HostView, InstanceView
from shared.contracts.errors import (
    FleetError,
    FleetViewNotReady,
    HostIdentityMismatch,
    HostNotFound,
    HostStillOnline,
    HostUnreachable,
    LxdUnavailable,
)
from shared.contracts.events import Heartbeat, HostDescribed, ImageServersRead, Sampled
from shared.contracts.operations import Kind, Operation, State

# What a host tells of itself; operations are told to `FleetView.finish`.
HostEvent = Heartbeat | WorkerEvent | HostDescribed | ImageServersRead | Sampled


# Many times the fleet that this is made for. Each has a queue for each gateway, and a user of the
# broker that an operator has made.
MOST_HOSTS = 5000


class FleetView:
    """Implements `ports.Fleet`, and takes what happens.

    It is ready when every host it was told to expect has reported or is known to be away, and
    `ready_after_s` after it was made in any case. `budget` is how much of each host it holds, and
    `most_hosts` how many there may be: no other one is heard.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        ready_after_s: float = 3.0,
        budget: MemoryBudget = DEFAULT,
        most_hosts: int = MOST_HOSTS,
    ) -> None:
        self._clock = clock
        self._budget = budget
        self._most_hosts = most_hosts
        self._ready_at = clock.monotonic() + ready_after_s
        self._ready = False
        self._expects_reports = False
        self._awaited: set[str] = set()
        self._hosts: dict[str, HostState] = {}
        self._shown_online: dict[str, bool] = {}
        self._index = InstanceIndex(clock.monotonic)
        self._outcomes: dict[str, int] = {}
        self._version = 0
        self._watchers: dict[object, Callable[[], None]] = {}
        self._listed: tuple[tuple[int, int], list[InstanceView]] | None = None

    @property
    def version(self) -> int:
        """Grows with every change of what readers see, their ages apart."""
        return self._version

    @property
    def ready(self) -> bool:
        """Whether every host that is alive has reported, or the wait for them is over."""
        return self._ready or self._clock.monotonic() >= self._ready_at

    def hosts(self) -> Sequence[HostView]:
        """Return all hosts ever seen and not forgotten, by id."""
        self._require_ready()
        return [self._hosts[host].known() for host in sorted(self._hosts)]

    def host(self, host: str) -> HostView:
        """Return one host; raise HostNotFound."""
        return self._view_of(host).known()

    def instances(self, host: str | None = None) -> Sequence[InstanceView]:
        """Return all instances, by name then host; those of one host if named (HostNotFound)."""
        self._require_ready()
        if host is not None:
            view = self._view_of(host)
            return [entry.known(view.age) for entry in view.holdings.entries()]
        moment = (self._version, self._age_second())
        if self._listed is None or self._listed[0] != moment:
            self._listed = (moment, self._known(self._index.ordered()))
        return self._listed[1]

    def instance(
        self, name: str, host: str | None = None, project: str | None = None
    ) -> InstanceView:
        """Return one instance; raise HostNotFound, and as `choosing.only_one` does."""
        self._require_ready()
        if host is not None:
            self._view_of(host)
        return require_unique(name, self.named(name), host, project)

    def named(self, name: str) -> Sequence[InstanceView]:
        """Return all instances of one name, whichever host and project they are in."""
        self._require_ready()
        return [self._known_one(entry) for entry in self._index.named(name)]

    def with_uuid(self, uuid: str) -> Sequence[InstanceView]:
        """Return the instance of a uuid, then its copies, which wrongly share it."""
        self._require_ready()
        return [self._known_one(entry) for entry in self._index.with_uuid(uuid)]

    def reserved_for(self, uuid: str) -> str | None:
        """Return the host that a gateway has told to create the instance of a uuid."""
        return self._index.uuids.reserved_for(uuid)

    def has_applied(self, host: str, sequence: int) -> bool:
        """Whether the outcomes of the host's operations are shown up to this sequence."""
        return self._outcomes.get(host, 0) >= sequence

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed` after every change; return what ends it."""
        ticket = object()
        self._watchers[ticket] = changed

        def end() -> None:
            self._watchers.pop(ticket, None)

        return end

    def refusal(self, host: str) -> FleetError | None:
        """Return why nothing can be changed on a host now; None: it can be tried."""
        view = self._view_of(host)
        if not view.identity.trusted:
            return HostIdentityMismatch(host)
        if not view.online:
            return HostUnreachable(host)
        return None if view.identity.verified else LxdUnavailable(host)

    def is_reachable(self, host: str) -> bool:
        """Whether the host's worker is there and is the one it should be."""
        return host in self._hosts and self.refusal(host) is None

    def lacks_inventory(self, host: str) -> bool:
        """Whether a full inventory of the host is missing, could come and would be believed."""
        return host in self._hosts and self._hosts[host].incomplete

    def host_ids(self) -> list[str]:
        """Return the ids of all known hosts, ready or not."""
        return list(self._hosts)

    def exchanges(self) -> dict[str, str]:
        """Return the names of all known hosts' exchanges by host; empty: it is to be learned."""
        return {host: view.exchange for host, view in self._hosts.items()}

    def exchange_of(self, host: str) -> str:
        """Return the name of a host's exchange; empty: it is not known."""
        view = self._hosts.get(host)
        return view.exchange if view else ""

    def note_exchange(self, host: str, exchange: str) -> None:
        """Take the name of a host's exchange, unless the host is not known."""
        if view := self._hosts.get(host):
            view.exchange = exchange

    def mark_stale(self) -> None:
        """Expect that events of every host were missed."""
        for view in self._hosts.values():
            view.mark_stale()

    def apply(self, host: str, report: HostEvent) -> Reaction:
        """Take a host's event; return what it calls for. A new host begins with a heartbeat."""
        view = self._hosts.get(host)
        if view is None:
            if not isinstance(report, Heartbeat):
                return NOTHING
            if len(self._hosts) >= self._most_hosts:
                return REFUSED
            view = self._add(host)
        if isinstance(report, ImageServersRead):
            return self._noted(view, view.stock(report, self._one_for_all(index_by_alias(report))))
        return self._noted(view, _applied(view, report))

    def finish(self, operation: Operation) -> None:
        """Show what a finished operation left behind, before its waiters hear of it."""
        self._end_creation(operation)
        if operation.final and (view := self._hosts.get(operation.host)):
            view.finish(operation)
            newest = max(self._outcomes.get(operation.host, 0), operation.sequence)
            self._outcomes[operation.host] = newest
            self._change()

    def note_creation(self, operation: Operation) -> None:
        """Keep the uuid of a new instance for the host that a gateway tells to create it."""
        self._index.uuids.reserve(operation.uuid, operation.host)
        self._end_creation(operation)
        self._change()

    def restore(self, hosts: Iterable[StoredHost]) -> None:
        """Take the hosts the database keeps, and expect each of them to report."""
        kept = list(hosts)
        for stored in kept:
            self._add(stored.host).restore(stored)
            self._expects_reports = True
        self._index.uuids.demote({(each.host, uuid) for each in kept for uuid in each.copies})
        self._change()

    def stored(self, host: str) -> StoredHost:
        """Return what the database should keep of a host; raise HostNotFound."""
        return self._view_of(host).stored()

    def away(self, host: str) -> None:
        """Learn that a host expected to report will not."""
        self._awaited.discard(host)
        self.tick()

    def forget(self, host: str) -> None:
        """Drop a host with its instances and its pin; raise HostNotFound, HostStillOnline."""
        view = self._view_of(host)
        if view.online:
            raise HostStillOnline(host)
        view.holdings.clear()
        del self._hosts[host], self._shown_online[host]
        self._outcomes.pop(host, None)
        self._awaited.discard(host)
        self._change()

    def tick(self) -> None:
        """Notice what time alone changes: hosts grown silent, the end of the wait for reports."""
        flipped = [self._flipped(view) for view in self._hosts.values()]
        if self._became_ready() or any(flipped):
            self._change()

    def _add(self, host: str) -> HostState:
        view = self._hosts[host] = HostState(host, self._index, self._clock, self._budget)
        self._shown_online[host] = False
        self._awaited.add(host)
        return view

    def _noted(self, view: HostState, reaction: Reaction) -> Reaction:
        if view.has_reported:
            self._awaited.discard(view.host)
        flipped = self._flipped(view)
        if self._became_ready() or flipped or reaction.changed:
            self._change()
        return replace(reaction, left_out=view.left_out) if view.left_out else reaction

    def _end_creation(self, operation: Operation) -> None:
        if operation.final and operation.kind is Kind.CREATE:
            created = operation.state in {State.DONE, State.UNKNOWN}
            self._index.uuids.end_creation(operation.uuid, operation.host, created=created)

    def _flipped(self, view: HostState) -> bool:
        was, self._shown_online[view.host] = self._shown_online[view.host], view.online
        return was is not self._shown_online[view.host]

    def _became_ready(self) -> bool:
        # Where no host was known before, nobody can tell whether all have been heard of.
        heard_of_all = self._expects_reports and not self._awaited
        if self._ready or not (heard_of_all or self.ready):
            return False
        self._ready = True
        self._index.uuids.settle()
        return True

    def _change(self) -> None:
        self._version += 1
        for changed in list(self._watchers.values()):
            changed()

    def _one_for_all(self, told: RemoteImages) -> RemoteImages:
        """Return the same object for all hosts that told the same: they are many, servers few."""
        # Once each: a host could tell what differs from that of a thousand others in the last word.
        distinct = {id(view.shelves): view.shelves for view in self._hosts.values()}
        return next((images for images in distinct.values() if images == told), told)

    def _known(self, entries: Sequence[InstanceRecord]) -> list[InstanceView]:
        ages = {host: view.age for host, view in self._hosts.items()}
        return [entry.known(ages[entry.key[1]]) for entry in entries]

    def _known_one(self, entry: InstanceRecord) -> InstanceView:
        return entry.known(self._hosts[entry.key[1]].age)

    def _age_second(self) -> int:
        """Return what a list is good for beside its version: only silent hosts grow older."""
        everyone_online = all(view.online for view in self._hosts.values())
        return -1 if everyone_online else int(self._clock.monotonic())

    def _view_of(self, host: str) -> HostState:
        try:
            return self._hosts[host]
        except KeyError:
            raise HostNotFound(host) from None

    def _require_ready(self) -> None:
        if not self.ready:
            raise FleetViewNotReady


def _applied(
    view: HostState, report: Heartbeat | WorkerEvent | HostDescribed | Sampled
) -> Reaction:
    if isinstance(report, Heartbeat):
        return view.heartbeat(report)
    if isinstance(report, Sampled):
        return view.sample(report)
    if isinstance(report, HostDescribed):
        return view.describe(report)
    return view.take(report)
