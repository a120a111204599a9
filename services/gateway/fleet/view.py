"""The fleet view: the state of all hosts and instances, updated by events and read from memory.

It does no I/O: the clock is passed in, and `apply` returns what should be requested from a host.
A write costs what it touches, a read what it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from services.gateway.clock import Clock
from services.gateway.fleet.change_set import ChangeSet, InstanceKey
from services.gateway.fleet.encoded_samples import instance_sample
from services.gateway.fleet.host_events import HostEvent, apply_event
from services.gateway.fleet.host_state import (
    NOTHING,
    REFUSED,
    HostState,
    Reaction,
    StoredHost,
)
from services.gateway.fleet.instance_index import InstanceIndex, InstanceQuery
from services.gateway.fleet.memory_budget import DEFAULT, MemoryBudget
from services.gateway.fleet.name_resolution import require_unique
from services.gateway.fleet.protection_view import ProtectionView
from services.gateway.fleet.remote_images import RemoteImages, index_by_alias
from services.gateway.fleet.selection import Views
from services.gateway.fleet.views import Availability, HostPart, HostView, InstanceView
from shared.contracts.errors import (
    FleetError,
    FleetViewNotReady,
    HostIdentityMismatch,
    HostNotFound,
    HostStillOnline,
    HostUnreachable,
    LxdUnavailable,
)
from shared.contracts.events import (
    Heartbeat,
    ImageServersRead,
    PolicyRunChanged,
)
from shared.contracts.instances import Instance
from shared.contracts.operations import Kind, Operation, State
from shared.contracts.policies import PolicyRun
from shared.contracts.samples import InstanceSample

# Many times the fleet that this is made for. Each host has a queue for each gateway, and a broker
# user that an operator has created.
MOST_HOSTS = 5000


class FleetView:
    """The hosts and instances of the fleet.

    It is ready when every expected host has reported or is known to be offline, and in any case
    `ready_after_s` after its creation. `budget` limits each host, `most_hosts` their number: events
    of further hosts are refused.
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
        self.protections = ProtectionView(self._index, self._hosts.get, clock.wall)
        self._applied_sequences: dict[str, int] = {}
        self._version = 0
        self._listeners: dict[object, Callable[[ChangeSet], None]] = {}

    @property
    def version(self) -> int:
        """A number that grows with every change that readers see, ages apart."""
        return self._version

    @property
    def ready(self) -> bool:
        """Whether every expected host has reported, or the wait for them is over."""
        return self._ready or self._clock.monotonic() >= self._ready_at

    def require_ready(self) -> None:
        """Raise FleetViewNotReady until the view is ready."""
        if not self.ready:
            raise FleetViewNotReady

    def has_inventory(self, host: str | None = None) -> bool:
        """Whether a host, or any host, has ever reported its instances; raise HostNotFound."""
        states = self._hosts.values() if host is None else [self._state_of(host)]
        return any(state.has_inventory for state in states)

    def hosts(self) -> Sequence[HostView]:
        """Return all hosts that were not forgotten, sorted by id."""
        self.require_ready()
        return [self._hosts[host].view() for host in sorted(self._hosts)]

    def host(self, host: str) -> HostView:
        """Return one host; raise HostNotFound."""
        return self._state_of(host).view()

    def host_part(self, host: str) -> HostPart:
        """Return what the entries of a host's instances show of it; raise HostNotFound."""
        return self._state_of(host).part()

    def instances(self, host: str | None = None) -> Sequence[InstanceView]:
        """Return all instances, or one host's, by name then host; raise HostNotFound."""
        self.require_ready()
        if host is not None:
            return [record.view() for record in self._state_of(host).inventory.records()]
        return list(self.select(InstanceQuery()))

    def samples(self, host: str) -> Sequence[tuple[Instance, InstanceSample]]:
        """Return a host's measured instances with their samples, by name; raise HostNotFound."""
        return [
            (record.instance, sample)
            for record in self._state_of(host).inventory.records()
            if record.sample is not None and (sample := instance_sample(record.sample))
        ]

    def availability(self) -> Sequence[Availability]:
        """Return whether each host can be worked with, sorted by id."""
        self.require_ready()
        now = self._clock.monotonic()
        return [self._hosts[host].availability(now) for host in sorted(self._hosts)]

    def select(self, query: InstanceQuery) -> Sequence[InstanceView]:
        """Return the matching instances, sorted by name, host and project; raise HostNotFound.

        They are valid until the next change. Their number and a part of them cost no more than the
        part, unless two conditions are combined (see `InstanceIndex`).
        """
        self.require_ready()
        if query.host is not None:
            self._state_of(query.host)
        return Views(self._index.select(query))

    def find(self, key: InstanceKey) -> InstanceView | None:
        """Return the instance of a name, host and project, ready or not."""
        record = self._index.find(key)
        return record.view() if record else None

    def keys(self) -> list[InstanceKey]:
        """Return the keys of all instances, unsorted."""
        return self._index.keys()

    def keys_of(self, host: str) -> list[InstanceKey]:
        """Return the keys of a host's instances, unsorted."""
        return [record.sort_key for record in self._index.of_host(host)]

    def statuses(self) -> Mapping[str, int]:
        """Return the statuses of instances, and how many instances have each."""
        return self._index.statuses()

    def instance(
        self, name: str, host: str | None = None, project: str | None = None
    ) -> InstanceView:
        """Return one instance; raise HostNotFound, and as `require_unique` does."""
        self.require_ready()
        if host is not None:
            self._state_of(host)
        return require_unique(name, self.with_name(name), host, project)

    def with_name(self, name: str) -> Sequence[InstanceView]:
        """Return all instances of one name, of any host and project."""
        self.require_ready()
        return [record.view() for record in self._index.with_name(name)]

    def with_display_name(self, name: str) -> Sequence[InstanceView]:
        """Return all instances of a display name, sorted.

        LXD's name counts where there is no other.
        """
        self.require_ready()
        return [record.view() for record in self._index.with_display_name(name)]

    def with_uuid(self, uuid: str) -> Sequence[InstanceView]:
        """Return the instance of a uuid, then the duplicates that wrongly share it."""
        self.require_ready()
        return [record.view() for record in self._index.with_uuid(uuid)]

    def reserved_for(self, uuid: str) -> str | None:
        """Return the host that the uuid of a new instance is reserved for."""
        return self._index.uuids.reserved_for(uuid)

    def has_applied(self, host: str, sequence: int) -> bool:
        """Whether the outcomes of the host's operations are applied up to this sequence."""
        return self._applied_sequences.get(host, 0) >= sequence

    def watch(self, on_change: Callable[[ChangeSet], None]) -> Callable[[], None]:
        """Call `on_change` with every change; return the function that unsubscribes."""
        ticket = object()
        self._listeners[ticket] = on_change

        def unsubscribe() -> None:
            self._listeners.pop(ticket, None)

        return unsubscribe

    def access_error(self, host: str) -> FleetError | None:
        """Return why a host cannot execute operations now; None: it can."""
        state = self._state_of(host)
        if not state.pin.trusted:
            return HostIdentityMismatch(host)
        if not state.online:
            return HostUnreachable(host)
        return None if state.pin.verified else LxdUnavailable(host)

    def is_reachable(self, host: str) -> bool:
        """Whether the host's worker is online and trusted."""
        return host in self._hosts and self.access_error(host) is None

    def needs_inventory(self, host: str) -> bool:
        """Whether a full inventory is missing, and the host could send a trusted one."""
        return host in self._hosts and self._hosts[host].needs_inventory

    def has_host(self, host: str) -> bool:
        """Whether a host is known, ready or not."""
        return host in self._hosts

    def host_ids(self) -> list[str]:
        """Return the ids of all known hosts, ready or not."""
        return list(self._hosts)

    def exchanges(self) -> dict[str, str]:
        """Return the exchange of every known host; empty: not known yet."""
        return {host: state.exchange for host, state in self._hosts.items()}

    def exchange_of(self, host: str) -> str:
        """Return the exchange of a host; empty: not known."""
        state = self._hosts.get(host)
        return state.exchange if state else ""

    def set_exchange(self, host: str, exchange: str) -> None:
        """Set the exchange of a host, if the host is known."""
        if state := self._hosts.get(host):
            state.exchange = exchange

    def mark_stale(self) -> None:
        """Assume that events of every host were missed."""
        for state in self._hosts.values():
            state.mark_stale()

    def apply(self, host: str, event: HostEvent) -> Reaction:
        """Apply a host's event; return what it calls for. A new host starts with a heartbeat."""
        state = self._hosts.get(host)
        if state is None:
            if not isinstance(event, Heartbeat):
                return NOTHING
            if len(self._hosts) >= self._most_hosts:
                return REFUSED
            state = self._add(host)
        if isinstance(event, PolicyRunChanged):
            return self._apply_run(state, event.run)
        if isinstance(event, ImageServersRead):
            return self._after_event(
                state, state.apply_remote_images(event, self._intern(index_by_alias(event)))
            )
        return self._after_event(state, apply_event(state, event))

    def apply_outcome(self, operation: Operation) -> None:
        """Apply a finished operation's outcome; call it before waking those who wait for it."""
        self._end_creation(operation)
        if operation.final and (state := self._hosts.get(operation.host)):
            state.apply_outcome(operation)
            newest = max(self._applied_sequences.get(operation.host, 0), operation.sequence)
            self._applied_sequences[operation.host] = newest
            self._publish_change(operation.host)

    def record_creation(self, operation: Operation) -> None:
        """Reserve the uuid of a new instance for the host that is to create it."""
        self._index.uuids.reserve(operation.uuid, operation.host)
        self._end_creation(operation)
        self._publish_change()

    def restore(self, hosts: Iterable[StoredHost]) -> None:
        """Restore the saved hosts, and expect each of them to report."""
        stored_hosts = list(hosts)
        for stored in stored_hosts:
            self._add(stored.host).restore(stored)
            self._expects_reports = True
            self._index.changes.hosts.add(stored.host)
        self._index.uuids.demote(
            {(each.host, uuid) for each in stored_hosts for uuid in each.duplicate_uuids}
        )
        self._publish_change()

    def stored_host(self, host: str) -> StoredHost:
        """Return what to save of a host; raise HostNotFound."""
        return self._state_of(host).to_stored()

    def stop_awaiting(self, host: str) -> None:
        """Stop waiting for the report of a host that is offline."""
        self._awaited.discard(host)
        self.tick()

    def forget(self, host: str) -> None:
        """Drop a host with its instances and its pin; raise HostNotFound, HostStillOnline."""
        state = self._state_of(host)
        if state.online:
            raise HostStillOnline(host)
        state.inventory.clear()
        self._index.changes.runs |= {(host, run) for run in state.runs.clear()}
        del self._hosts[host], self._shown_online[host]
        self._applied_sequences.pop(host, None)
        self._awaited.discard(host)
        self._publish_change(host)

    def tick(self) -> None:
        """Apply what time alone changes: hosts that fell silent, and readiness."""
        flipped = [host for host, state in self._hosts.items() if self._online_changed(state)]
        if self._update_ready() or flipped:
            self._publish_change(*flipped)

    def _add(self, host: str) -> HostState:
        state = self._hosts[host] = HostState(host, self._index, self._clock, self._budget)
        self._shown_online[host] = False
        self._awaited.add(host)
        return state

    def _after_event(self, state: HostState, reaction: Reaction) -> Reaction:
        if state.has_reported:
            self._awaited.discard(state.host)
        flipped = self._online_changed(state)
        if self._update_ready() or flipped or reaction.changed:
            self._publish_change(state.host)
        return replace(reaction, left_out=state.left_out) if state.left_out else reaction

    def _apply_run(self, state: HostState, run: PolicyRun) -> Reaction:
        changed = state.apply_run(run)
        self._index.changes.runs |= {(state.host, each) for each in changed}
        if changed:
            self._publish_change()
        return Reaction(changed=bool(changed))

    def _end_creation(self, operation: Operation) -> None:
        if operation.final and operation.kind is Kind.CREATE:
            created = operation.state in {State.DONE, State.UNKNOWN}
            self._index.uuids.end_creation(operation.uuid, operation.host, created=created)

    def _online_changed(self, state: HostState) -> bool:
        was, self._shown_online[state.host] = self._shown_online[state.host], state.online
        return was is not self._shown_online[state.host]

    def _update_ready(self) -> bool:
        # Without a saved host, there is no telling whether all have reported.
        all_reported = self._expects_reports and not self._awaited
        if self._ready or not (all_reported or self.ready):
            return False
        self._ready = True
        self._index.uuids.settle()
        return True

    def _publish_change(self, *hosts: str) -> None:
        self._version += 1
        self._index.changes.hosts.update(hosts)
        changes = self._index.changes.take()
        for on_change in list(self._listeners.values()):
            on_change(changes)

    def _intern(self, images: RemoteImages) -> RemoteImages:
        """Return one object for all hosts with the same images: hosts are many, servers few."""
        # Compare each object once: a host could send a list that differs only at its very end.
        distinct = {id(state.remote_images): state.remote_images for state in self._hosts.values()}
        return next((each for each in distinct.values() if each == images), images)

    def _state_of(self, host: str) -> HostState:
        try:
            return self._hosts[host]
        except KeyError:
            raise HostNotFound(host) from None
