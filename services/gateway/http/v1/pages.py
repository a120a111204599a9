"""Pages of the list of VMs, made once for each state of the fleet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from services.gateway.domain.error_boundary import ErrorBoundary
from services.gateway.domain.known import KnownHost, KnownInstance
from services.gateway.domain.paging import Part, Taken, place, take
from services.gateway.domain.presentation_entries import Render, encoded
from services.gateway.domain.presentation_vms import Vm, vm
from services.gateway.domain.vm_filter import Searchable, SearchTexts, VmFilter, mentioning, select
from services.gateway.http.conditional import Tagged, tagged
from services.gateway.http.fields import only
from services.gateway.http.kept import Kept
from services.gateway.http.lookup import known_hosts
from services.gateway.http.v1.envelope import Success
from services.gateway.ports import Fleet


@dataclass(frozen=True, slots=True)
class PageQuestion:
    """A page that somebody may ask for; `fields` empty: all of them."""

    wanted: VmFilter
    part: Part
    secrets: bool
    fields: tuple[str, ...] = ()


class Pagination(msgspec.Struct, frozen=True, rename="camel"):
    """Where a page stands in the whole list; `next_cursor` is None on the last."""

    page: int
    limit: int
    total: int
    pages: int
    next_cursor: str | None


class Page(msgspec.Struct, frozen=True):
    """One page of VMs, encoded."""

    vms: list[msgspec.Raw]
    pagination: Pagination


class Pages:
    """Answers questions for pages, for callers who may see passwords and for those who may not."""

    def __init__(
        self, fleet: Fleet, monotonic: Callable[[], float], boundary: ErrorBoundary
    ) -> None:
        both = (True, False)
        self._fleet = fleet
        self._renders = {secrets: rendering(boundary, secrets=secrets) for secrets in both}
        self._texts = {secrets: SearchTexts(boundary, secrets=secrets) for secrets in both}
        self._searchable: Kept[list[Searchable]] = Kept(fleet, monotonic)
        self._fitting: Kept[Sequence[KnownInstance]] = Kept(fleet, monotonic)
        self.kept: Kept[Tagged] = Kept(fleet, monotonic)

    def page(self, question: PageQuestion) -> Tagged:
        """Return the page as the whole body of an answer.

        Raises InvalidInput for a bad cursor, and as `known_hosts` does.
        """
        return self.kept.get(question, lambda: self._answer(question))

    def fitting(self, wanted: VmFilter, *, secrets: bool) -> Sequence[KnownInstance]:
        """Return the instances that fit, by LXD's name, then host; raise as `known_hosts` does."""
        return self._fitting.get((wanted, secrets), lambda: self._fit(wanted, secrets=secrets))

    def _answer(self, question: PageQuestion) -> Tagged:
        fitting = self.fitting(question.wanted, secrets=question.secrets)
        taken = take(fitting, question.part, place)
        vms = [msgspec.Raw(self._entry(known, question)) for known in taken.entries]
        page = Page(vms, _pagination(taken, question.part.limit))
        return tagged(msgspec.json.encode(Success(data=page)))

    def _fit(self, wanted: VmFilter, *, secrets: bool) -> Sequence[KnownInstance]:
        known_hosts(self._fleet, wanted.host)
        instances = self._fleet.instances()
        if wanted.search is not None:
            texts = self._texts[secrets]
            entries = self._searchable.get(secrets, lambda: texts.refreshed(instances))
            instances = mentioning(wanted.search, entries)
        return select(instances, wanted)

    def _entry(self, known: KnownInstance, question: PageQuestion) -> bytes:
        render = self._renders[question.secrets]
        return only(render(known, self._fleet.host(known.host)), question.fields)


def rendering(boundary: ErrorBoundary, *, secrets: bool) -> Render:
    """Return what renders a VM for callers who may see passwords, or for those who may not."""

    def present(known: KnownInstance, host: KnownHost) -> Vm:
        return vm(known, host, secrets=secrets)

    return encoded(boundary, present)


def _pagination(taken: Taken[KnownInstance], limit: int) -> Pagination:
    return Pagination(
        page=taken.page,
        limit=limit,
        total=taken.total,
        pages=-(-taken.total // limit),
        next_cursor=taken.next_cursor,
    )
