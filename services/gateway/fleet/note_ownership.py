"""Whose a note is that has another name than its instance's.

Who renames an instance leaves its note as it was, and so does who copies it. Such a note is its
instance's own where nobody has that name and no other instance has a note of it. Else nobody can
tell whether what it says of ports is true of this one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from services.gateway.fleet.instance_record import InstanceRecord
from services.gateway.fleet.port_forwards import foreign_note_name
from shared.contracts.instances import Instance

# An instance's place on its host: project and name.
LocalKey = tuple[str, str]


class NoteOwnership:
    """Marks those of a host's entries whose note may be that of another instance."""

    def __init__(self, entries: Mapping[LocalKey, InstanceRecord]) -> None:
        self._entries = entries
        # Dictionaries as ordered sets, by the place that their notes name.
        self._naming: dict[LocalKey, dict[InstanceRecord, None]] = defaultdict(dict)

    def add(self, place: LocalKey, entry: InstanceRecord) -> None:
        """Take in an entry that is there now."""
        self._judge(place)
        self._enter(place, entry)

    def remove(self, place: LocalKey, entry: InstanceRecord) -> None:
        """Drop an entry that is there no more."""
        self._leave(place, entry, entry.instance)
        self._judge(place)

    def renew(self, place: LocalKey, entry: InstanceRecord, before: Instance) -> None:
        """Learn that an entry is another than before, and maybe its note."""
        if foreign_note_name(before) != foreign_note_name(entry.instance):
            self._leave(place, entry, before)
            self._enter(place, entry)

    def _enter(self, place: LocalKey, entry: InstanceRecord) -> None:
        named = (place[0], foreign_note_name(entry.instance))
        if not named[1]:
            entry.mark(note_is_anothers=False)
            return
        naming = self._naming[named]
        naming[entry] = None
        # Of more than two, all others are marked already.
        if len(naming) > 2:
            entry.mark(note_is_anothers=True)
        else:
            self._judge(named)

    def _leave(self, place: LocalKey, entry: InstanceRecord, before: Instance) -> None:
        named = (place[0], foreign_note_name(before))
        naming = self._naming.get(named)
        if naming is None:
            return
        del naming[entry]
        if not naming:
            del self._naming[named]
        elif len(naming) == 1:
            self._judge(named)

    def _judge(self, named: LocalKey) -> None:
        """Mark all whose notes have a name."""
        naming = self._naming.get(named, {})
        anothers = named in self._entries or len(naming) > 1
        for entry in naming:
            entry.mark(note_is_anothers=anothers)
