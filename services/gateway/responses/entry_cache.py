"""Encoded entries of all instances, made anew only for those that changed.

A sample of one host touches a hundred instances of ten thousand; the other entries are the same
bytes as before. Whoever answers a list joins them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from services.gateway import units
from services.gateway.error_boundary import EntrySubject, ErrorBoundary
from services.gateway.fleet.views import (
    HostView,
    InstanceView,
    host_without_details,
    without_details,
)

Present = Callable[[InstanceView, HostView], object]
Render = Callable[[InstanceView, HostView], bytes]
Key = tuple[str, str, str]
# All that a rendering may depend on; messages are never changed in place.
Basis = tuple[object, ...]


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


class Entries:
    """Keeps each instance's rendering for as long as what it shows stays the same."""

    def __init__(self, render: Render) -> None:
        self._render = render
        self._kept: dict[Key, tuple[Basis, bytes]] = {}

    def refreshed(
        self, instances: Iterable[InstanceView], hosts: Mapping[str, HostView]
    ) -> list[tuple[InstanceView, bytes]]:
        """Return all instances with their entries, in order; forget those that are gone."""
        fresh: dict[Key, tuple[Basis, bytes]] = {}
        answer = []
        for known in instances:
            key = (known.host, known.instance.project, known.instance.name)
            fresh[key] = self._entry(key, known, hosts[known.host])
            answer.append((known, fresh[key][1]))
        self._kept = fresh
        return answer

    def _entry(self, key: Key, known: InstanceView, host: HostView) -> tuple[Basis, bytes]:
        basis = _basis(known, host)
        kept = self._kept.get(key)
        if kept is not None and kept[0] == basis:
            return kept
        return basis, self._render(known, host)


def _basis(known: InstanceView, host: HostView) -> Basis:
    machine = host.sample.host if host.sample else None
    return (
        known.instance,
        known.sample,
        known.sampled_at,
        known.host_online,
        known.duplicate,
        known.foreign_note,
        int(units.age(known.age_s)),
        host.lxd_connected,
        machine and (machine.memory_total, machine.disk_total),
    )
