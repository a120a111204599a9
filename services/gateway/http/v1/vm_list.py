"""Pages of the list of VMs, made once for each state of the fleet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from services.gateway.error_boundary import ErrorBoundary
from services.gateway.fleet.pagination import Page, PageRequest, paginate, sort_key
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.http.conditional_response import Tagged, tagged
from services.gateway.http.field_selection import only
from services.gateway.http.name_resolution import known_hosts
from services.gateway.http.v1.envelope import SuccessEnvelope
from services.gateway.http.v1.vm_filter import Searchable, SearchTexts, VmFilter, mentioning, select
from services.gateway.http.versioned_cache import VersionedCache
from services.gateway.responses.entry_cache import Render, encoded
from services.gateway.responses.fields import encoded_as
from services.gateway.responses.vm_page import VmPage, VmPagination
from services.gateway.responses.vms import Vm, vm
from services.gateway.vms.fleet_with_pending import Fleet


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
        self, fleet: Fleet, monotonic: Callable[[], float], boundary: ErrorBoundary
    ) -> None:
        both = (True, False)
        self._fleet = fleet
        self._renders = {secrets: rendering(boundary, secrets=secrets) for secrets in both}
        self._texts = {secrets: SearchTexts(boundary, secrets=secrets) for secrets in both}
        self._searchable: VersionedCache[list[Searchable]] = VersionedCache(fleet, monotonic)
        self._fitting: VersionedCache[Sequence[InstanceView]] = VersionedCache(fleet, monotonic)
        self.kept: VersionedCache[Tagged] = VersionedCache(fleet, monotonic)

    def page(self, question: PageQuestion) -> Tagged:
        """Return the page as the whole body of an answer.

        Raises InvalidInput for a bad cursor, and as `known_hosts` does.
        """
        return self.kept.get(question, lambda: self._answer(question))

    def fitting(self, wanted: VmFilter, *, secrets: bool) -> Sequence[InstanceView]:
        """Return the instances that fit, by LXD's name, then host; raise as `known_hosts` does."""
        return self._fitting.get((wanted, secrets), lambda: self._fit(wanted, secrets=secrets))

    def _answer(self, question: PageQuestion) -> Tagged:
        fitting = self.fitting(question.wanted, secrets=question.secrets)
        taken = paginate(fitting, question.part, sort_key)
        vms = [encoded_as(Vm, self._entry(known, question)) for known in taken.entries]
        page = VmPage(vms, _pagination(taken, question.part.limit))
        return tagged(msgspec.json.encode(SuccessEnvelope(data=page)))

    def _fit(self, wanted: VmFilter, *, secrets: bool) -> Sequence[InstanceView]:
        known_hosts(self._fleet, wanted.host)
        instances = self._fleet.instances()
        if wanted.search is not None:
            texts = self._texts[secrets]
            entries = self._searchable.get(secrets, lambda: texts.refreshed(instances))
            instances = mentioning(wanted.search, entries)
        return select(instances, wanted)

    def _entry(self, known: InstanceView, question: PageQuestion) -> bytes:
        render = self._renders[question.secrets]
        return only(render(known, self._fleet.host(known.host)), question.fields)


def rendering(boundary: ErrorBoundary, *, secrets: bool) -> Render:
    """Return what renders a VM for callers who may see passwords, or for those who may not."""

    def present(known: InstanceView, host: HostView) -> Vm:
        return vm(known, host, secrets=secrets)

    return encoded(boundary, present)


def _pagination(taken: Page[InstanceView], limit: int) -> VmPagination:
    return VmPagination(
        page=taken.page,
        limit=limit,
        total=taken.total,
        pages=-(-taken.total // limit),
        next_cursor=taken.next_cursor,
    )
