"""Encoded entries of instances, made when they are asked for and kept until they change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from services.gateway.error_boundary import EntrySubject, ErrorBoundary
from services.gateway.fleet.change_set import ChangeSet, InstanceKey
from services.gateway.fleet.pagination import sort_key
from services.gateway.fleet.views import (
    Derived,
    HostPart,
    HostView,
    InstanceView,
    host_without_details,
    without_details,
)

Present = Callable[[InstanceView, HostView], object]
Render = Callable[[InstanceView, HostView], bytes]
# A host's entries, each with what it was made of.
_Entries = dict[InstanceKey, tuple[Derived, object, HostPart, bytes]]
# Returns what an entry shows of the sample; equal values make equal entries.
SamplePart = Callable[[InstanceView], object]


def encoded(boundary: ErrorBoundary, present: Present) -> Render:
    """Return what renders an instance as JSON by `present`; where that fails, the bare instance."""

    def render(known: InstanceView, host: HostView) -> bytes:
        return boundary.render(
            subject_of(known),
            lambda: msgspec.json.encode(present(known, host)),
            lambda: msgspec.json.encode(
                present(without_details(known), host_without_details(host))
            ),
        )

    return render


def subject_of(known: InstanceView) -> EntrySubject:
    """Return under what a failure to render the instance is told."""
    return EntrySubject("instance", known.host, f"{known.instance.project}/{known.instance.name}")


class HostLookup(Protocol):
    """Has the hosts: the fleet view, with or without pending instances."""

    def host(self, host: str) -> HostView:
        """Return one host; raise HostNotFound."""

    def host_part(self, host: str) -> HostPart:
        """Return what the entries of a host's instances show of it; raise HostNotFound."""


class HostViews(dict[str, HostView]):
    """The views of the hosts that an answer shows, each made once."""

    def __init__(self, fleet: HostLookup) -> None:
        super().__init__()
        self._fleet = fleet

    def __missing__(self, host: str) -> HostView:
        view = self[host] = self._fleet.host(host)
        return view

    def part(self, host: str) -> HostPart:
        """Return what the entries of a host's instances show of it, without a view."""
        return self[host].part if host in self else self._fleet.host_part(host)


def nothing_sampled(_: InstanceView) -> None:
    """Return what an entry without figures shows of the sample."""


def whole_sample(view: InstanceView) -> object:
    """Return what an entry with figures shows of the sample."""
    return view.encoded_sample


class EntryCache:
    """Keeps each instance's rendering until the instance changes, or what it shows of others.

    Those are its host and, by `sample_part`, its sample. What shows an age is not kept, nor what is
    not in the fleet view.
    """

    def __init__(self, render: Render, sample_part: SamplePart) -> None:
        self._render = render
        self._sample_part = sample_part
        self._kept: dict[str, _Entries] = {}

    def __len__(self) -> int:
        return sum(map(len, self._kept.values()))

    def entry(self, view: InstanceView, hosts: HostViews) -> bytes:
        """Return an instance's entry."""
        key, sampled, of_host = sort_key(view), self._sample_part(view), hosts.part(view.host)
        entries = self._kept.get(view.host, {})
        kept = entries.get(key)
        if kept and kept[0] is view.derived and kept[1] == sampled and kept[2] == of_host:
            return kept[3]
        entry = self._render(view, hosts[view.host])
        if of_host.online and view.creation is None:
            entries[key] = (view.derived, sampled, of_host, entry)
            self._kept[view.host] = entries
        return entry

    def keep_only(self, keys: Iterable[InstanceKey]) -> None:
        """Drop all entries but those of these instances."""
        wanted = set(keys)
        for entries in self._kept.values():
            for key in entries.keys() - wanted:
                del entries[key]

    def on_change(self, changes: ChangeSet) -> None:
        """Drop what has changed or is gone."""
        if self._sample_part is whole_sample:
            for host in changes.samples:
                self._kept.pop(host, None)
        for key in changes.instances:
            self._kept.get(key[1], {}).pop(key, None)
