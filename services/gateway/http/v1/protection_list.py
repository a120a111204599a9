"""Pages of the list of instances and how they are protected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from services.gateway.error_boundary import EntrySubject
from services.gateway.fleet.instance_index import InstanceQuery
from services.gateway.fleet.pagination import PageRequest, paginate, sort_key
from services.gateway.fleet.views import InstanceView
from services.gateway.http.dependencies import Dependencies
from services.gateway.http.name_resolution import require_instances
from services.gateway.http.v1.vm_filter import VmFilter
from services.gateway.responses.fields import encoded_as
from services.gateway.responses.policy_runs import Explain
from services.gateway.responses.protection import (
    ProtectionPage,
    VmProtection,
    bare_protection,
    summary_of,
    vm_protection,
)
from services.gateway.responses.vm_page import pagination_of


@dataclass(frozen=True, slots=True)
class ProtectionFilter:
    """Which instances to list; None: any. `search` looks where that of the list of VMs does."""

    state: str | None = None
    host: str | None = None
    project: str | None = None
    search: str | None = None


async def protection_page(
    gateway: Dependencies,
    wanted: ProtectionFilter,
    part: PageRequest,
    explain: Explain,
    *,
    secrets: bool,
) -> ProtectionPage:
    """Return a page; raise InvalidInput for a bad cursor, and as `require_instances` does."""
    require_instances(gateway.fleet, wanted.host)
    taken = paginate(await _fitting(gateway, wanted, secrets=secrets), part, sort_key)
    of_host, protections = wanted.host, gateway.fleet.protections
    now = gateway.now()
    return ProtectionPage(
        summary=summary_of(protections.counts_of(of_host) if of_host else protections.counts()),
        instances=[_entry(gateway, view, now, explain) for view in taken.entries],
        pagination=pagination_of(taken, part.limit),
    )


async def _fitting(
    gateway: Dependencies, wanted: ProtectionFilter, *, secrets: bool
) -> Sequence[InstanceView]:
    """Return the instances that fit, by name, host and project.

    A state alone is looked up. With another condition those that meet that one are gone through.
    """
    protections = gateway.fleet.protections
    if wanted.state and not (wanted.host or wanted.project or wanted.search):
        return protections.with_state(wanted.state)
    if wanted.search:
        mentioned = VmFilter(search=wanted.search, host=wanted.host, project=wanted.project)
        listed = await gateway.pages.fitting(mentioned, secrets=secrets)
        # What is being created has no protection yet.
        fitting: Sequence[InstanceView] = [view for view in listed if view.creation is None]
    else:
        fitting = gateway.fleet.select(InstanceQuery(host=wanted.host, project=wanted.project))
    if wanted.state is None:
        return fitting
    return [view for view in fitting if protections.of(sort_key(view)).state == wanted.state]


def _entry(
    gateway: Dependencies, known: InstanceView, now: datetime, explain: Explain
) -> VmProtection:
    held = gateway.fleet.protections.of(sort_key(known))
    online = gateway.fleet.host_part(known.host).online
    text = gateway.boundary.render(
        EntrySubject("protection", known.host, f"{known.instance.project}/{known.instance.name}"),
        lambda: msgspec.json.encode(vm_protection(known, held, now, explain, host_online=online)),
        lambda: msgspec.json.encode(bare_protection(known, host_online=online)),
    )
    return encoded_as(VmProtection, text)
