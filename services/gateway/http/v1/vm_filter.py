"""Which instances a list of VMs shows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from services.gateway.fleet.instance_index import InstanceQuery
from services.gateway.fleet.views import InstanceView
from services.gateway.responses import instances as shown
from services.gateway.responses.vms import status_of, vm_id
from services.gateway.vms.naming import display_name_of


@dataclass(frozen=True, slots=True)
class VmFilter:
    """What to show; None: any. `status` is one of the document's words.

    `search` looks into name, id, addresses and description. Each of `labels` must be there, as
    `key`, or with its value as `key=value`.
    """

    status: str | None = None
    search: str | None = None
    host: str | None = None
    type: str | None = None
    project: str | None = None
    labels: tuple[str, ...] = ()


def query_of(wanted: VmFilter, statuses: Iterable[str]) -> InstanceQuery:
    """Return what to ask the fleet view for, the search apart; `statuses` are all there are."""
    fitting = None
    if wanted.status is not None:
        fitting = frozenset(each for each in statuses if status_of(each) == wanted.status)
    return InstanceQuery(wanted.host, wanted.project, wanted.type, fitting, wanted.labels)


def search_text(known: InstanceView, *, secrets: bool) -> str:
    """Return the text in which an instance is searched for."""
    instance = known.instance
    places = (
        instance.name,
        display_name_of(instance),
        vm_id(known),
        known.reachable.ipv4 or "",
        known.reachable.ipv6 or "",
        shown.visible_description(known, secrets=secrets),
    )
    return "\n".join(places)
