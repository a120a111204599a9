"""The list of instances as encoded JSON, made once for each state of the fleet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from services.gateway.error_boundary import ErrorBoundary
from services.gateway.fleet.pagination import PageRequest, paginate, sort_key
from services.gateway.fleet.view import FleetView
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.http.conditional_response import Tagged, tagged
from services.gateway.http.field_selection import only
from services.gateway.http.name_resolution import known_hosts
from services.gateway.http.versioned_cache import VersionedCache
from services.gateway.responses import instances as shown
from services.gateway.responses.entry_cache import Entries, Render, encoded, subject_of

NEXT_CURSOR = "x-next-cursor"

Rendered = list[tuple[InstanceView, bytes]]


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
        self._fleet = fleet
        self._boundary = boundary
        self._entries = {
            secrets: Entries(_rendering(boundary, secrets=secrets)) for secrets in (True, False)
        }
        self._rendered: VersionedCache[Rendered] = VersionedCache(fleet, monotonic)
        self.kept: VersionedCache[Tagged] = VersionedCache(fleet, monotonic)

    def instances(self, question: ListQuery) -> Tagged:
        """Return the wanted instances as a JSON array, by name then host.

        Where a part does not reach the end, a header holds the cursor of the next one. Raises
        InvalidInput for a bad cursor, and as `known_hosts` does.
        """
        return self.kept.get(question, lambda: self._answer(question))

    def _answer(self, question: ListQuery) -> Tagged:
        fitting = self._fitting(question.wanted, secrets=question.secrets)
        part = question.part or PageRequest(limit=max(1, len(fitting)))
        taken = paginate(fitting, part, lambda rendered: sort_key(rendered[0]))
        headers = {NEXT_CURSOR: taken.next_cursor} if taken.next_cursor else {}
        entries = (only(entry, question.fields) for _, entry in taken.entries)
        return tagged(array(entries), headers)

    def _fitting(self, wanted: InstanceFilter, *, secrets: bool) -> Rendered:
        known_hosts(self._fleet, wanted.host)
        rendered = self._rendered.get(secrets, lambda: self._render(secrets=secrets))
        if wanted == InstanceFilter():
            return rendered
        fitting = [each for each in rendered if _fits(each[0], wanted)]
        if wanted.search is None:
            return fitting
        text = wanted.search.lower()
        return [each for each in fitting if self._mentions(each[0], text, secrets=secrets)]

    def _render(self, *, secrets: bool) -> Rendered:
        hosts = {known.host: known for known in self._fleet.hosts()}
        return self._entries[secrets].refreshed(self._fleet.instances(), hosts)

    def _mentions(self, known: InstanceView, text: str, *, secrets: bool) -> bool:
        return self._boundary.render(
            subject_of(known),
            lambda: _mentions(known, text, secrets=secrets),
            lambda: text in known.instance.name.lower(),
        )


def array(entries: Iterable[bytes]) -> bytes:
    """Return encoded values as one JSON array."""
    return b"[" + b",".join(entries) + b"]"


def _rendering(boundary: ErrorBoundary, *, secrets: bool) -> Render:
    def present(known: InstanceView, host: HostView) -> shown.InstanceInfo:
        return shown.information(known, host, secrets=secrets)

    return encoded(boundary, present)


def _fits(known: InstanceView, wanted: InstanceFilter) -> bool:
    instance = known.instance
    return (
        wanted.host in {None, known.host}
        and wanted.project in {None, instance.project}
        and (wanted.status is None or wanted.status.lower() == instance.status.lower())
        and wanted.type in {None, instance.type}
    )


def _mentions(known: InstanceView, text: str, *, secrets: bool) -> bool:
    """Whether the text is in what this caller gets to see, so that nobody can guess a password."""
    instance = known.instance
    about = shown.visible_description(known, secrets=secrets)
    addresses = (shown.address(known, family) or "" for family in ("inet", "inet6"))
    return any(text in sort_key.lower() for sort_key in (instance.name, about, *addresses))
