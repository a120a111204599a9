"""Which instances mention a text: prepared texts, made anew only for instances that changed.

A text holds what its kind of caller gets to see, so that nobody can guess a password.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from services.gateway.error_boundary import ErrorBoundary
from services.gateway.fleet.change_set import ChangeSet, InstanceKey
from services.gateway.fleet.views import InstanceView
from services.gateway.http.trigram_filter import TrigramFilter
from services.gateway.responses.entry_cache import subject_of
from services.gateway.vms.fleet_with_pending import Fleet

# Texts that are made before others get their turn.
SLICE = 50

TextOf = Callable[[InstanceView], str]


# Texts that are looked into together.
BLOCK = 16


@dataclass(frozen=True, slots=True)
class _Block:
    """The texts of a few instances of one host."""

    number: int
    texts: dict[InstanceKey, str] = field(default_factory=dict)

    def mentioning(self, wanted: str) -> Iterator[InstanceKey]:
        """Yield the instances whose texts contain a text."""
        return (key for key, text in self.texts.items() if wanted in text)


def host_of(key: InstanceKey) -> str:
    """Return the host of an instance."""
    return key[1]


class _Texts:
    """The texts of all instances."""

    def __init__(self) -> None:
        self._filter = TrigramFilter()
        self._blocks: dict[int, _Block] = {}
        self._block_of: dict[InstanceKey, _Block] = {}
        # A block of each host in which there may be room, and numbers of former blocks.
        self._open: dict[str, _Block] = {}
        self._free: list[int] = []

    def put(self, key: InstanceKey, text: str) -> None:
        """Set an instance's text."""
        block = self._block_of.get(key) or self._block_for(key)
        block.texts[key] = text
        self._filter.add(block.number, text)

    def drop(self, key: InstanceKey) -> None:
        """Drop an instance's text, if there is one."""
        block = self._block_of.pop(key, None)
        if block is None:
            return
        del block.texts[key]
        if block.texts:
            self._open[host_of(key)] = block
            return
        self._free.append(block.number)
        del self._blocks[block.number]
        if self._open.get(host_of(key)) is block:
            del self._open[host_of(key)]

    def mentioning(self, wanted: str) -> Iterator[InstanceKey]:
        """Yield the instances whose texts contain a text, in no order."""
        for number in self._filter.candidates(wanted):
            if block := self._blocks.get(number):
                yield from block.mentioning(wanted)

    def _block_for(self, key: InstanceKey) -> _Block:
        block = self._open.get(host_of(key))
        if block is None or len(block.texts) >= BLOCK:
            block = _Block(self._free.pop() if self._free else len(self._blocks))
            self._open[host_of(key)] = self._blocks[block.number] = block
        self._block_of[key] = block
        return block


class SearchIndex:
    """The texts of all instances, by `text_of`: made when `prepare` is first called, and kept."""

    def __init__(self, fleet: Fleet, text_of: TextOf, boundary: ErrorBoundary) -> None:
        self._fleet = fleet
        self._text_of = text_of
        self._boundary = boundary
        self._texts = _Texts()
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
        found = sorted(self._texts.mentioning(wanted))
        return [view for key in found if (view := self._fleet.find(key))]

    def mentions(self, view: InstanceView, text: str) -> bool:
        """Whether an instance that is not in the index mentions a text."""
        return text.lower() in self._text(view)

    def _on_change(self, changes: ChangeSet) -> None:
        self._refresh(changes.instances)

    def _refresh(self, keys: Iterable[InstanceKey]) -> None:
        for key in keys:
            if view := self._fleet.find(key):
                self._texts.put(key, self._text(view))
            else:
                self._texts.drop(key)

    def _text(self, view: InstanceView) -> str:
        return self._boundary.render(
            subject_of(view),
            lambda: self._text_of(view).lower(),
            lambda: view.instance.name.lower(),
        )
