"""Whose a note is that has another name than its instance's.

Who renames an instance leaves its note as it was, and so does who copies it. The note is the
other's as long as that one is there: what it says of ports is true of that one alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from services.gateway.domain.entry import Entry
from services.gateway.domain.nat import other_name

# An instance's place on its host: project and name.
Place = tuple[str, str]


class Noted:
    """Marks those of a host's entries whose note is that of another one of them."""

    def __init__(self, entries: Mapping[Place, Entry]) -> None:
        self._entries = entries
        # Dictionaries as ordered sets, by the place that their notes name.
        self._naming: dict[Place, dict[Entry, None]] = defaultdict(dict)

    def add(self, place: Place, entry: Entry) -> None:
        """Take in an entry that has come."""
        for other in self._naming.get(place, ()):
            other.mark(note_is_anothers=True)
        self.read(place, entry)

    def remove(self, place: Place, entry: Entry) -> None:
        """Drop an entry that has gone."""
        for other in self._naming.get(place, ()):
            other.mark(note_is_anothers=False)
        self.forget(place, entry)

    def read(self, place: Place, entry: Entry) -> None:
        """Learn which name an entry's note has."""
        name = other_name(entry.instance)
        named = (place[0], name)
        if name:
            self._naming[named][entry] = None
        entry.mark(note_is_anothers=bool(name) and named in self._entries)

    def forget(self, place: Place, entry: Entry) -> None:
        """Forget which name an entry's note has, before it is another one."""
        name = other_name(entry.instance)
        if not name:
            return
        naming = self._naming[place[0], name]
        del naming[entry]
        if not naming:
            del self._naming[place[0], name]
