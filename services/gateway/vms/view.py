"""The fleet view with the instances that are being created.

LXD lists an instance long before it is complete, or not at all for a while; either way it is shown
as one that is being created for as long as its operation goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from services.gateway.fleet.name_resolution import require_unique
from services.gateway.fleet.pagination import sort_key
from services.gateway.fleet.view import FleetView
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.vms.new_vm import PendingCreation, pending_instance
from services.gateway.vms.pending import PendingCreations
from services.gateway.vms.templates import Template, os_of


class FleetWithPending:
    """Reads as the fleet view does; the templates say which system is being installed."""

    def __init__(
        self, fleet: FleetView, pending: PendingCreations, templates: Sequence[Template]
    ) -> None:
        self._fleet = fleet
        self._pending = pending
        self._templates = templates

    @property
    def version(self) -> int:
        """Grows with every change of the fleet view and of the creations."""
        return self._fleet.version + self._pending.version

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
        pending = [each for each in self._creations() if host in {None, each.operation.host}]
        return sorted(self._joined(known, pending), key=sort_key) if pending else known

    def instance(
        self, name: str, host: str | None = None, project: str | None = None
    ) -> InstanceView:
        """Return one instance; raise HostNotFound, and as `require_unique` does."""
        if host is not None:
            self._fleet.host(host)
        return require_unique(name, self.with_name(name), host, project)

    def with_name(self, name: str) -> Sequence[InstanceView]:
        """Return all instances of one name, whichever host and project they are in."""
        pending = [each for each in self._creations() if each.operation.instance == name]
        return self._joined(self._fleet.with_name(name), pending)

    def with_uuid(self, uuid: str) -> Sequence[InstanceView]:
        """Return the instance of a uuid, and its copies, which wrongly share it."""
        pending = [each for each in self._creations() if each.operation.uuid == uuid]
        return self._joined(self._fleet.with_uuid(uuid), pending)

    def _creations(self) -> list[PendingCreation]:
        """Return the creations on hosts that are not forgotten."""
        submitted = self._pending.submitted()
        hosts = {known.host for known in self._fleet.hosts()} if submitted else set()
        return [each for each in submitted if each.operation.host in hosts]

    def _joined(
        self, known: Iterable[InstanceView], creations: Iterable[PendingCreation]
    ) -> list[InstanceView]:
        """Return what is known, but of what is being created only what was ordered.

        What another host says of the same uuid stays as it is: the other host's.
        """
        pending = {(each.operation.host, each.operation.uuid): each for each in creations}
        complete = [each for each in known if (each.host, each.instance.uuid) not in pending]
        return [*complete, *map(self._pending_view, pending.values())]

    def _pending_view(self, creation: PendingCreation) -> InstanceView:
        host = self._fleet.host(creation.operation.host)
        system = os_of(creation.ordered.image, self._templates, host)
        shown = pending_instance(creation, host_online=host.online, os=system)
        # A host can say that it creates what is another's, but that does not make it its own.
        uuid = shown.instance.uuid
        held = {each.host for each in self._fleet.with_uuid(uuid) if not each.duplicate}
        owner = self._fleet.reserved_for(uuid) or next(iter(held), shown.host)
        return replace(shown, duplicate=owner != shown.host)


# What requests are resolved against: the second API's shows what is being created too.
Fleet = FleetView | FleetWithPending
