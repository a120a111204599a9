"""The list of instances as encoded JSON, made once for each state of the fleet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from services.gateway.domain import presentation_instances as shown
from services.gateway.domain.error_boundary import ErrorBoundary
from services.gateway.domain.known import KnownHost, KnownInstance
from services.gateway.domain.paging import Part, place, take
from services.gateway.domain.presentation_entries import Entries, Render, encoded, subject_of
from services.gateway.http.conditional import Tagged, tagged
from services.gateway.http.fields import only
from services.gateway.http.kept import Kept
from services.gateway.http.lookup import known_hosts
from services.gateway.ports import Fleet

NEXT_CURSOR = "x-next-cursor"

Rendered = list[tuple[KnownInstance, bytes]]


@dataclass(frozen=True, slots=True)
class InstanceFilter:
    """Which instances to list; None: any. `search` looks into name, description, addresses."""

    host: str | None = None
    project: str | None = None
    status: str | None = None
    type: str | None = None
    search: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A list of instances that somebody may ask for; `part` None: all, `fields` empty: all."""

    wanted: InstanceFilter
    secrets: bool
    part: Part | None = None
    fields: tuple[str, ...] = ()


class Answers:
    """The list of instances, for callers who may see passwords and for those who may not."""

    def __init__(
        self, fleet: Fleet, monotonic: Callable[[], float], boundary: ErrorBoundary
    ) -> None:
        self._fleet = fleet
        self._boundary = boundary
        self._entries = {
            secrets: Entries(_rendering(boundary, secrets=secrets)) for secrets in (True, False)
        }
        self._rendered: Kept[Rendered] = Kept(fleet, monotonic)
        self.kept: Kept[Tagged] = Kept(fleet, monotonic)

    def instances(self, question: Question) -> Tagged:
        """Return the wanted instances as a JSON array, by name then host.

        Where a part does not reach the end, a header holds the cursor of the next one. Raises
        InvalidInput for a bad cursor, and as `known_hosts` does.
        """
        return self.kept.get(question, lambda: self._answer(question))

    def _answer(self, question: Question) -> Tagged:
        fitting = self._fitting(question.wanted, secrets=question.secrets)
        part = question.part or Part(limit=max(1, len(fitting)))
        taken = take(fitting, part, lambda rendered: place(rendered[0]))
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

    def _mentions(self, known: KnownInstance, text: str, *, secrets: bool) -> bool:
        return self._boundary.render(
            subject_of(known),
            lambda: _mentions(known, text, secrets=secrets),
            lambda: text in known.instance.name.lower(),
        )


def array(entries: Iterable[bytes]) -> bytes:
    """Return encoded values as one JSON array."""
    return b"[" + b",".join(entries) + b"]"


def _rendering(boundary: ErrorBoundary, *, secrets: bool) -> Render:
    def present(known: KnownInstance, host: KnownHost) -> shown.InstanceInfo:
        return shown.information(known, host, secrets=secrets)

    return encoded(boundary, present)


def _fits(known: KnownInstance, wanted: InstanceFilter) -> bool:
    instance = known.instance
    return (
        wanted.host in {None, known.host}
        and wanted.project in {None, instance.project}
        and (wanted.status is None or wanted.status.lower() == instance.status.lower())
        and wanted.type in {None, instance.type}
    )


def _mentions(known: KnownInstance, text: str, *, secrets: bool) -> bool:
    """Whether the text is in what this caller gets to see, so that nobody can guess a password."""
    instance = known.instance
    about = shown.described(known, secrets=secrets)
    addresses = (shown.address(known, family) or "" for family in ("inet", "inet6"))
    return any(text in place.lower() for place in (instance.name, about, *addresses))
