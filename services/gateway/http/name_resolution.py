"""Finding what a request means in the fleet view, which may know nothing at all yet."""

from __future__ import annotations

from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.vms.fleet_with_pending import Fleet
from shared.contracts.errors import LxdUnavailable


def known_host(fleet: Fleet, host: str) -> HostView:
    """Return a host; raise HostNotFound, but not before the fleet is read (FleetViewNotReady)."""
    fleet.hosts()
    return fleet.host(host)


def known_hosts(fleet: Fleet, host: str | None = None) -> list[HostView]:
    """Return the hosts that are meant: one, or all.

    Raises FleetViewNotReady, HostNotFound, and LxdUnavailable when nothing was ever heard of their
    instances.
    """
    hosts = list(fleet.hosts()) if host is None else [known_host(fleet, host)]
    if all(known.inventory_age_s is None for known in hosts):
        raise LxdUnavailable(host or "")
    return hosts


def known_instance(
    fleet: Fleet, name: str, host: str | None, project: str | None
) -> tuple[InstanceView, HostView]:
    """Return an instance and its host; raise as `Fleet.instance` and `known_hosts` do."""
    known_hosts(fleet, host)
    known = fleet.instance(name, host, project)
    return known, fleet.host(known.host)
