"""The list of instances as encoded JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from services.gateway.error_boundary import ErrorBoundary
from services.gateway.fleet.instance_index import InstanceQuery, matches
from services.gateway.fleet.pagination import PageRequest, paginate, sort_key
from services.gateway.fleet.view import FleetView
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.http.conditional_response import Tagged, tagged
from services.gateway.http.field_selection import only
from services.gateway.http.name_resolution import require_instances
from services.gateway.http.search_index import SearchIndex
from services.gateway.http.versioned_cache import VersionedCache
from services.gateway.responses import instances as shown
from services.gateway.responses.entry_cache import (
    EntryCache,
    HostViews,
    Render,
    encoded,
    nothing_sampled,
)

NEXT_CURSOR = "x-next-cursor"


@dataclass(frozen=True, slots=True)
class InstanceFilter:
    """Which instances to list; None: any. `search` looks into name, description, addresses."""

    host: str | None = None
    project: str | None = None
    status: str | None = None
    type: str | None = None
    search: str | None = None


@dataclass(frozen=True, slots=True)
class ListQuery:
    """A list of instances that somebody may ask for; `part` None: all, `fields` empty: all."""

    wanted: InstanceFilter
    secrets: bool
    part: PageRequest | None = None
    fields: tuple[str, ...] = ()


class InstanceList:
    """The list of instances, for callers who may see passwords and for those who may not."""

    def __init__(
        self, fleet: FleetView, monotonic: Callable[[], float], boundary: ErrorBoundary
    ) -> None:
        both = (True, False)
        self._fleet = fleet
        self._entries = {
            secrets: EntryCache(_rendering(boundary, secrets=secrets), nothing_sampled)
            for secrets in both
        }
        self._search = {
            secrets: SearchIndex(fleet, partial(_text, secrets=secrets), boundary)
            for secrets in both
        }
        self.kept: VersionedCache[Tagged] = VersionedCache(fleet, monotonic)
        for entries in self._entries.values():
            fleet.watch(entries.on_change)

    async def prepare_search(self) -> None:
        """Prepare searches by those who may see passwords; others wait for their first one."""
        await self._search[True].prepare()

    async def instances(self, question: ListQuery) -> Tagged:
        """Return the wanted instances as a JSON array, by name then host.

        Where a part does not reach the end, a header holds the cursor of the next one. Raises
        InvalidInput for a bad cursor, and as `require_instances` does.
        """
        if question.wanted.search is not None:
            await self._search[question.secrets].prepare()
        return self.kept.get(question, lambda: self._answer(question))

    def _answer(self, question: ListQuery) -> Tagged:
        fitting = self._fitting(question.wanted, secrets=question.secrets)
        part = question.part or PageRequest(limit=max(1, len(fitting)))
        taken = paginate(fitting, part, sort_key)
        headers = {NEXT_CURSOR: taken.next_cursor} if taken.next_cursor else {}
        hosts = HostViews(self._fleet)
        cache = self._entries[question.secrets]
        entries = (cache.entry(view, hosts) for view in taken.entries)
        return tagged(array(only(entry, question.fields) for entry in entries), headers)

    def _fitting(self, wanted: InstanceFilter, *, secrets: bool) -> Sequence[InstanceView]:
        require_instances(self._fleet, wanted.host)
        query = InstanceQuery(wanted.host, wanted.project, wanted.type, self._statuses(wanted))
        if wanted.search is None:
            return self._fleet.select(query)
        found = self._search[secrets].search(wanted.search)
        return [view for view in found if matches(view.instance, view.host, query)]

    def _statuses(self, wanted: InstanceFilter) -> frozenset[str] | None:
        if wanted.status is None:
            return None
        status = wanted.status.lower()
        return frozenset(each for each in self._fleet.statuses() if each.lower() == status)


def array(entries: Iterable[bytes]) -> bytes:
    """Return encoded values as one JSON array."""
    return b"[" + b",".join(entries) + b"]"


def _rendering(boundary: ErrorBoundary, *, secrets: bool) -> Render:
    def present(known: InstanceView, host: HostView) -> shown.InstanceInfo:
        return shown.information(known, host, secrets=secrets)

    return encoded(boundary, present)


def _text(known: InstanceView, *, secrets: bool) -> str:
    about = shown.visible_description(known, secrets=secrets)
    reached = known.reachable
    return "\n".join((known.instance.name, about, reached.ipv4 or "", reached.ipv6 or ""))
