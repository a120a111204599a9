"""Which hosts and instances a policy's selection finds in the fleet view."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from services.gateway.fleet.view import FleetView
from shared.contracts.policies import Selection
from shared.policies.selection import may_select_host, selects


async def matching_hosts(fleet: FleetView, selection: Selection) -> AsyncIterator[str]:
    """Yield the hosts with an instance that is selected, sorted; others are served in between.

    A host is gone through until its first one.
    """
    for host in sorted(fleet.host_ids()):
        if may_select_host(selection, host):
            if _has_match(fleet, selection, host):
                yield host
            await asyncio.sleep(0)


async def matches_any(fleet: FleetView, selection: Selection) -> bool:
    """Whether any instance of the fleet is selected at present."""
    async for _ in matching_hosts(fleet, selection):
        return True
    return False


def _has_match(fleet: FleetView, selection: Selection, host: str) -> bool:
    for key in fleet.keys_of(host):
        view = fleet.find(key)
        if view and selects(selection, host, key[2], key[0], view.instance.labels):
            return True
    return False
