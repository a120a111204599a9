"""From what a caller wants of a VM to the changes that its host is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.gateway import units
from services.gateway.fleet.views import InstanceView
from services.gateway.responses.vms import Vm
from services.gateway.vms import limits
from services.gateway.vms.naming import free_name, shown_name
from shared.contracts.changes import NO_LIMITS, Changes
from shared.contracts.errors import InstanceExists, InvalidInput


def changes(wanted: Mapping[str, object], shown: Vm) -> Changes | None:
    """Return what differs between the wanted fields and those that the caller is shown.

    So an answer can be sent back whole, and what it shows of an instance without limits becomes no
    limit. None: nothing differs. Raises InvalidInput for another name.
    """
    if wanted.get("name", shown.name) != shown.name:
        raise InvalidInput("name", "rename_elsewhere")
    differing = {
        field: _in_bytes(field, value)
        for field, value in wanted.items()
        if field != "limits" and value != getattr(shown, field)
    }
    limited = limits.differing(wanted.get("limits", {}), shown.limits)  # type: ignore[arg-type]
    if limited != NO_LIMITS:
        differing["limits"] = limited
    return Changes(**differing) if differing else None  # type: ignore[arg-type]


def new_name(wanted: str, known: InstanceView, instances_of_host: Iterable[InstanceView]) -> str:
    """Return the name that LXD gets for a new display name; raise InstanceExists if it is taken."""
    others = [
        other.instance
        for other in instances_of_host
        if other.instance.project == known.instance.project
        and other.instance.name != known.instance.name
    ]
    if wanted in {shown_name(other) for other in others}:
        raise InstanceExists(wanted)
    return free_name(wanted, {other.name for other in others})


_UNITS = {"memory": units.MIB, "disk": units.GIB}


def _in_bytes(field: str, value: object) -> object:
    if field not in _UNITS or not isinstance(value, int | float):
        return value
    return round(value * _UNITS[field])
