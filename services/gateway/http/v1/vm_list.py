"""Pages of the list of VMs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from services.gateway.error_boundary import ErrorBoundary
from services.gateway.fleet.instance_index import matches
from services.gateway.fleet.pagination import PageRequest, paginate, sort_key
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.http.conditional_response import Tagged, tagged
from services.gateway.http.field_selection import only
from services.gateway.http.name_resolution import require_instances
from services.gateway.http.search_index import SearchIndex
from services.gateway.http.v1.envelope import SuccessEnvelope
from services.gateway.http.v1.vm_filter import VmFilter, query_of, search_text
from services.gateway.http.versioned_cache import VersionedCache
from services.gateway.responses.entry_cache import EntryCache, HostViews, Render, encoded
from services.gateway.responses.fields import encoded_as
from services.gateway.responses.vm_page import VmPage, pagination_of
from services.gateway.responses.vm_sizes import disk_in_sample
from services.gateway.responses.vms import Vm, vm
from services.gateway.vms.fleet_with_pending import FleetWithPending


@dataclass(frozen=True, slots=True)
class PageQuestion:
    """A page that somebody may ask for; `fields` empty: all of them."""

    wanted: VmFilter
    part: PageRequest
    secrets: bool
    fields: tuple[str, ...] = ()


class Pages:
    """Answers questions for pages, for callers who may see passwords and for those who may not."""

    def __init__(
        self, fleet: FleetWithPending, monotonic: Callable[[], float], boundary: ErrorBoundary
    ) -> None:
        both = (True, False)
        self._fleet = fleet
        self._entries = {
            secrets: EntryCache(rendering(boundary, secrets=secrets), disk_in_sample)
            for secrets in both
        }
        self._search = {
            secrets: SearchIndex(fleet, partial(search_text, secrets=secrets), boundary)
            for secrets in both
        }
        self.kept: VersionedCache[Tagged] = VersionedCache(fleet, monotonic)
        for entries in self._entries.values():
            fleet.watch(entries.on_change)

    async def prepare_search(self) -> None:
        """Prepare searches by those who may see passwords; others wait for their first one."""
        await self._search[True].prepare()

    async def page(self, question: PageQuestion) -> Tagged:
        """Return the page as the whole body of an answer.

        Raises InvalidInput for a bad cursor, and as `require_instances` does.
        """
        await self._prepare(question.wanted, secrets=question.secrets)
        return self.kept.get(question, lambda: self._answer(question))

    async def fitting(self, wanted: VmFilter, *, secrets: bool) -> Sequence[InstanceView]:
        """Return the instances that fit, by LXD's name, then host.

        They are valid until the next change. Raises as `require_instances` does.
        """
        await self._prepare(wanted, secrets=secrets)
        return self._fit(wanted, secrets=secrets)

    async def _prepare(self, wanted: VmFilter, *, secrets: bool) -> None:
        if wanted.search is not None:
            await self._search[secrets].prepare()

    def _answer(self, question: PageQuestion) -> Tagged:
        fitting = self._fit(question.wanted, secrets=question.secrets)
        taken = paginate(fitting, question.part, sort_key)
        hosts = HostViews(self._fleet)
        cache = self._entries[question.secrets]
        entries = (cache.entry(view, hosts) for view in taken.entries)
        vms = [encoded_as(Vm, only(entry, question.fields)) for entry in entries]
        page = VmPage(vms, pagination_of(taken, question.part.limit))
        return tagged(msgspec.json.encode(SuccessEnvelope(data=page)))

    def _fit(self, wanted: VmFilter, *, secrets: bool) -> Sequence[InstanceView]:
        require_instances(self._fleet, wanted.host)
        query = query_of(wanted, self._fleet.statuses())
        text = wanted.search
        if text is None:
            return self._fleet.select(query)
        index = self._search[secrets]

        def included(view: InstanceView) -> bool:
            return matches(view.instance, view.host, query)

        return self._fleet.overlay(
            list(filter(included, index.search(text))),
            lambda view: included(view) and index.mentions(view, text),
        )


def rendering(boundary: ErrorBoundary, *, secrets: bool) -> Render:
    """Return what renders a VM for callers who may see passwords, or for those who may not."""

    def present(known: InstanceView, host: HostView) -> Vm:
        return vm(known, host, secrets=secrets)

    return encoded(boundary, present)
