"""Finding what a request means in the fleet view, which may know nothing at all yet."""

from __future__ import annotations

from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.vms.fleet_with_pending import Fleet
from shared.contracts.errors import LxdUnavailable


def known_host(fleet: Fleet, host: str) -> HostView:
    """Return a host; raise HostNotFound, but not before the fleet is read (FleetViewNotReady)."""
    fleet.require_ready()
    return fleet.host(host)


def require_instances(fleet: Fleet, host: str | None = None) -> None:
    """Require that the instances of a host, or of any host, were ever reported.

    Raises FleetViewNotReady, HostNotFound, LxdUnavailable.
    """
    fleet.require_ready()
    if not fleet.has_inventory(host):
        raise LxdUnavailable(host or "")


def known_instance(
    fleet: Fleet, name: str, host: str | None, project: str | None
) -> tuple[InstanceView, HostView]:
    """Return an instance and its host; raise as `Fleet.instance` and `require_instances` do."""
    require_instances(fleet, host)
    known = fleet.instance(name, host, project)
    return known, fleet.host(known.host)
