"""The fleet view with the instances that are being created.

LXD lists an instance long before it is complete, or not at all for a while; either way it is shown
as one that is being created for as long as its operation goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from services.gateway.fleet.name_resolution import require_unique
from services.gateway.fleet.pagination import sort_key
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.ports import Fleet
from services.gateway.vms.new_vm import PendingCreation, pending_instance
from services.gateway.vms.pending import PendingCreations
from services.gateway.vms.templates import Template, os_of


class FleetWithPending:
    """Implements `ports.Fleet` over another one; the templates say which system is coming."""

    def __init__(
        self, fleet: Fleet, coming: PendingCreations, catalogue: Sequence[Template]
    ) -> None:
        self._fleet = fleet
        self._coming = coming
        self._catalogue = catalogue

    @property
    def version(self) -> int:
        """Grows with every change of the fleet view and of the creations."""
        return self._fleet.version + self._coming.version

    @property
    def ready(self) -> bool:
        """Whether the fleet view is."""
        return self._fleet.ready

    def hosts(self) -> Sequence[HostView]:
        """Return all hosts."""
        return self._fleet.hosts()

    def host(self, host: str) -> HostView:
        """Return one host; raise HostNotFound."""
        return self._fleet.host(host)

    def instances(self, host: str | None = None) -> Sequence[InstanceView]:
        """Return all instances, by name then host; those of one host if named (HostNotFound)."""
        known = self._fleet.instances(host)
        coming = [each for each in self._creations() if host in {None, each.operation.host}]
        return sorted(self._joined(known, coming), key=sort_key) if coming else known

    def instance(
        self, name: str, host: str | None = None, project: str | None = None
    ) -> InstanceView:
        """Return one instance; raise HostNotFound, and as `choosing.only_one` does."""
        if host is not None:
            self._fleet.host(host)
        return require_unique(name, self.named(name), host, project)

    def named(self, name: str) -> Sequence[InstanceView]:
        """Return all instances of one name, whichever host and project they are in."""
        coming = [each for each in self._creations() if each.operation.instance == name]
        return self._joined(self._fleet.named(name), coming)

    def with_uuid(self, uuid: str) -> Sequence[InstanceView]:
        """Return the instance of a uuid, and its copies, which wrongly share it."""
        coming = [each for each in self._creations() if each.operation.uuid == uuid]
        return self._joined(self._fleet.with_uuid(uuid), coming)

    def reserved_for(self, uuid: str) -> str | None:
        """Return the host that a gateway has told to create the instance of a uuid."""
        return self._fleet.reserved_for(uuid)

    def shows(self, host: str, sequence: int) -> bool:
        """Whether the outcomes of the host's operations are shown up to this sequence."""
        return self._fleet.shows(host, sequence)

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed` after every change; return what ends it."""
        ends = [self._fleet.watch(changed), self._coming.watch(changed)]

        def end() -> None:
            for each in ends:
                each()

        return end

    def _creations(self) -> list[PendingCreation]:
        """Return the creations on hosts that are not forgotten."""
        begun = self._coming.begun()
        hosts = {known.host for known in self._fleet.hosts()} if begun else set()
        return [each for each in begun if each.operation.host in hosts]

    def _joined(
        self, known: Iterable[InstanceView], begun: Iterable[PendingCreation]
    ) -> list[InstanceView]:
        """Return what is known, but of what is being created only what was ordered.

        What another host says of the same uuid stays as it is: the other host's.
        """
        coming = {(each.operation.host, each.operation.uuid): each for each in begun}
        complete = [each for each in known if (each.host, each.instance.uuid) not in coming]
        return [*complete, *map(self._coming_one, coming.values())]

    def _coming_one(self, begun: PendingCreation) -> InstanceView:
        host = self._fleet.host(begun.operation.host)
        system = os_of(begun.ordered.image, self._catalogue, host)
        shown = pending_instance(begun, host_online=host.online, os=system)
        # A host can say that it creates what is another's, but that does not make it its own.
        uuid = shown.instance.uuid
        held = {each.host for each in self._fleet.with_uuid(uuid) if not each.duplicate}
        owner = self._fleet.reserved_for(uuid) or next(iter(held), shown.host)
        return replace(shown, duplicate=owner != shown.host)
