"""Which instances mention a text: prepared texts, made anew only for instances that changed.

A text holds what its kind of caller gets to see, so that nobody can guess a password.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from services.gateway.error_boundary import ErrorBoundary
from services.gateway.fleet.change_set import ChangeSet, InstanceKey
from services.gateway.fleet.views import InstanceView
from services.gateway.responses.entry_cache import subject_of
from services.gateway.vms.fleet_with_pending import Fleet

# Texts that are made before others get their turn.
SLICE = 50

TextOf = Callable[[InstanceView], str]


class _HostTexts:
    """The texts of a host's instances, also as one, which tells at once of most hosts: not here."""

    def __init__(self) -> None:
        self._texts: dict[InstanceKey, str] = {}
        self._joined: str | None = None

    def put(self, key: InstanceKey, text: str) -> None:
        """Set an instance's text."""
        self._texts[key], self._joined = text, None

    def drop(self, key: InstanceKey) -> bool:
        """Drop an instance's text; return whether it was the last one."""
        self._texts.pop(key, None)
        self._joined = None
        return not self._texts

    def mentioning(self, wanted: str) -> list[InstanceKey]:
        """Return the instances whose texts contain a text."""
        if self._joined is None:
            self._joined = "\0".join(self._texts.values())
        if wanted not in self._joined:
            return []
        return [key for key, text in self._texts.items() if wanted in text]


class SearchIndex:
    """The texts of all instances, by `text_of`: made when `prepare` is first called, and kept."""

    def __init__(self, fleet: Fleet, text_of: TextOf, boundary: ErrorBoundary) -> None:
        self._fleet = fleet
        self._text_of = text_of
        self._boundary = boundary
        self._texts: dict[str, _HostTexts] = {}
        # The instances whose texts are to be made; None: nobody has searched yet.
        self._missing: list[InstanceKey] | None = None
        self._preparing = asyncio.Lock()

    async def prepare(self) -> None:
        """Return when all texts are made; others are served in between.

        Where a caller gives up, the next one goes on.
        """
        async with self._preparing:
            if self._missing is None:
                self._missing = self._fleet.keys()
                self._fleet.watch(self._on_change)
            while self._missing:
                self._refresh(self._missing[-SLICE:])
                del self._missing[-SLICE:]
                await asyncio.sleep(0)

    def search(self, text: str) -> list[InstanceView]:
        """Return the instances that mention a text, whatever its case, sorted."""
        wanted = text.lower()
        found = sorted(key for texts in self._texts.values() for key in texts.mentioning(wanted))
        return [view for key in found if (view := self._fleet.find(key))]

    def mentions(self, view: InstanceView, text: str) -> bool:
        """Whether an instance that is not in the index mentions a text."""
        return text.lower() in self._text(view)

    def _on_change(self, changes: ChangeSet) -> None:
        self._refresh(changes.instances)

    def _refresh(self, keys: Iterable[InstanceKey]) -> None:
        for key in keys:
            view, host = self._fleet.find(key), key[1]
            if view:
                self._texts.setdefault(host, _HostTexts()).put(key, self._text(view))
            elif host in self._texts and self._texts[host].drop(key):
                del self._texts[host]

    def _text(self, view: InstanceView) -> str:
        return self._boundary.render(
            subject_of(view),
            lambda: self._text_of(view).lower(),
            lambda: view.instance.name.lower(),
        )
