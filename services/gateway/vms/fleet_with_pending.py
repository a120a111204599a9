"""The fleet view with the pending instances.

LXD lists an instance long before it is complete, or for a while not at all; either way it is shown
as pending until its operation has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from services.gateway.fleet.change_set import ChangeSet, InstanceKey
from services.gateway.fleet.instance_index import InstanceQuery, matches
from services.gateway.fleet.name_resolution import require_unique
from services.gateway.fleet.pagination import sort_key
from services.gateway.fleet.selection import Overlaid
from services.gateway.fleet.view import FleetView
from services.gateway.fleet.views import HostPart, HostView, InstanceView
from services.gateway.vms.new_vm import CREATING, NOT_CREATED, PendingCreation, pending_instance
from services.gateway.vms.pending import PendingCreations
from services.gateway.vms.templates import Template, os_of


class FleetWithPending:
    """The fleet view with pending instances; `templates` say which system they get."""

    def __init__(
        self, fleet: FleetView, pending: PendingCreations, templates: Sequence[Template]
    ) -> None:
        self._fleet = fleet
        self._pending = pending
        self._templates = templates

    @property
    def version(self) -> int:
        """A number that grows with every change of the fleet view or the creations."""
        return self._fleet.version + self._pending.version

    @property
    def ready(self) -> bool:
        """Whether the fleet view is ready."""
        return self._fleet.ready

    def require_ready(self) -> None:
        """Raise FleetViewNotReady until the fleet view is ready."""
        self._fleet.require_ready()

    def has_inventory(self, host: str | None = None) -> bool:
        """Whether a host, or any host, has ever reported its instances; raise HostNotFound."""
        return self._fleet.has_inventory(host)

    def hosts(self) -> Sequence[HostView]:
        """Return all hosts."""
        return self._fleet.hosts()

    def host(self, host: str) -> HostView:
        """Return one host; raise HostNotFound."""
        return self._fleet.host(host)

    def host_part(self, host: str) -> HostPart:
        """Return what the entries of a host's instances show of it; raise HostNotFound."""
        return self._fleet.host_part(host)

    def instances(self, host: str | None = None) -> Sequence[InstanceView]:
        """Return all instances, or one host's, by name then host; raise HostNotFound."""
        return list(self.select(InstanceQuery(host=host)))

    def select(self, query: InstanceQuery) -> Sequence[InstanceView]:
        """Return the matching instances, as `FleetView.select` does."""
        return self.overlay(
            self._fleet.select(query), lambda view: matches(view.instance, view.host, query)
        )

    def overlay(
        self, views: Sequence[InstanceView], includes: Callable[[InstanceView], bool]
    ) -> Sequence[InstanceView]:
        """Return a part of the fleet view with the pending instances that it includes."""
        pending = self._pending_by_place(self._creations())
        if not pending:
            return views
        hidden = {
            sort_key(view)
            for host, uuid in pending
            for view in self._fleet.with_uuid(uuid)
            if view.host == host
        }
        return Overlaid(views, hidden, filter(includes, map(self._pending_view, pending.values())))

    def find(self, key: InstanceKey) -> InstanceView | None:
        """Return the instance of a name, host and project, unless it is pending."""
        return self._fleet.find(key)

    def keys(self) -> list[InstanceKey]:
        """Return the keys of all instances but the pending ones, unsorted."""
        return self._fleet.keys()

    def statuses(self) -> frozenset[str]:
        """Return the statuses that instances have, pending ones included."""
        return frozenset({*self._fleet.statuses(), CREATING, NOT_CREATED})

    def watch(self, on_change: Callable[[ChangeSet], None]) -> Callable[[], None]:
        """Follow the fleet view, as `FleetView.watch` does."""
        return self._fleet.watch(on_change)

    def instance(
        self, name: str, host: str | None = None, project: str | None = None
    ) -> InstanceView:
        """Return one instance; raise HostNotFound, and as `require_unique` does."""
        if host is not None:
            self._fleet.host(host)
        return require_unique(name, self.with_name(name), host, project)

    def with_name(self, name: str) -> Sequence[InstanceView]:
        """Return all instances of one name, of any host and project."""
        pending = [each for each in self._creations() if each.operation.instance == name]
        return self._merge(self._fleet.with_name(name), pending)

    def with_display_name(self, name: str) -> Sequence[InstanceView]:
        """Return all instances of a display name."""
        pending = [each for each in self._creations() if each.new_instance.display_name == name]
        return self._merge(self._fleet.with_display_name(name), pending)

    def with_uuid(self, uuid: str) -> Sequence[InstanceView]:
        """Return the instance of a uuid, and the duplicates that wrongly share it."""
        pending = [each for each in self._creations() if each.operation.uuid == uuid]
        return self._merge(self._fleet.with_uuid(uuid), pending)

    def _creations(self) -> list[PendingCreation]:
        """Return the creations on known hosts."""
        submitted = self._pending.submissions()
        return [each for each in submitted if self._fleet.has_host(each.operation.host)]

    def _merge(
        self, views: Iterable[InstanceView], creations: Iterable[PendingCreation]
    ) -> list[InstanceView]:
        """Return the views, with those of instances under creation replaced by pending ones.

        An instance of another host with the same uuid stays as it is.
        """
        pending = self._pending_by_place(creations)
        complete = [each for each in views if (each.host, each.instance.uuid) not in pending]
        return [*complete, *map(self._pending_view, pending.values())]

    def _pending_by_place(
        self, creations: Iterable[PendingCreation]
    ) -> dict[tuple[str, str], PendingCreation]:
        """Return the creations by host and uuid."""
        return {(each.operation.host, each.operation.uuid): each for each in creations}

    def _pending_view(self, creation: PendingCreation) -> InstanceView:
        host = self._fleet.host(creation.operation.host)
        system = os_of(creation.new_instance.image, self._templates, host)
        view = pending_instance(creation, os=system)
        # A host can say that it creates what is another's, but that does not make it its own.
        uuid = view.instance.uuid
        holders = {each.host for each in self._fleet.with_uuid(uuid) if not each.duplicate}
        owner = self._fleet.reserved_for(uuid) or next(iter(holders), view.host)
        return replace(view, duplicate=owner != view.host)


# What names are resolved against; the second API includes pending instances.
Fleet = FleetView | FleetWithPending
