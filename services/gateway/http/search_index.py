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
SLICE = 200

TextOf = Callable[[InstanceView], str]


class SearchIndex:
    """The texts of all instances, by `text_of`: made for the first search, and kept since."""

    def __init__(self, fleet: Fleet, text_of: TextOf, boundary: ErrorBoundary) -> None:
        self._fleet = fleet
        self._text_of = text_of
        self._boundary = boundary
        self._texts: dict[InstanceKey, str] = {}
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
        found = sorted(key for key, mentioned in self._texts.items() if wanted in mentioned)
        return [view for key in found if (view := self._fleet.find(key))]

    def mentions(self, view: InstanceView, text: str) -> bool:
        """Whether an instance that is not in the index mentions a text."""
        return text.lower() in self._text(view)

    def _on_change(self, changes: ChangeSet) -> None:
        self._refresh(changes.instances)

    def _refresh(self, keys: Iterable[InstanceKey]) -> None:
        for key in keys:
            if view := self._fleet.find(key):
                self._texts[key] = self._text(view)
            else:
                self._texts.pop(key, None)

    def _text(self, view: InstanceView) -> str:
        return self._boundary.render(
            subject_of(view),
            lambda: self._text_of(view).lower(),
            lambda: view.instance.name.lower(),
        )
