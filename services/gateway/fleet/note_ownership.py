"""Whether a note with another name than its instance's belongs to the instance.

Renaming or copying an instance leaves its note unchanged. Such a note is the instance's own where
no instance has that name and no other note names it. Otherwise nobody can tell whether the ports in
it are those of this instance.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from services.gateway.fleet.instance_record import InstanceRecord
from services.gateway.fleet.port_forwards import foreign_note_name
from shared.contracts.instances import Instance

# An instance on its host: project and name.
LocalKey = tuple[str, str]


class NoteOwnership:
    """Marks the records of a host whose note may be that of another instance."""

    def __init__(self, records: Mapping[LocalKey, InstanceRecord]) -> None:
        self._records = records
        # Dictionaries as ordered sets, by the instance that their notes name.
        self._by_note: dict[LocalKey, dict[InstanceRecord, None]] = defaultdict(dict)

    def add(self, key: LocalKey, record: InstanceRecord) -> None:
        """Add a record."""
        self._mark(key)
        self._link(key, record)

    def remove(self, key: LocalKey, record: InstanceRecord) -> None:
        """Remove a record."""
        self._unlink(key, record, record.instance)
        self._mark(key)

    def update(self, key: LocalKey, record: InstanceRecord, before: Instance) -> None:
        """Update after an instance changed, and maybe its note."""
        if foreign_note_name(before) != foreign_note_name(record.instance):
            self._unlink(key, record, before)
            self._link(key, record)

    def _link(self, key: LocalKey, record: InstanceRecord) -> None:
        named = (key[0], foreign_note_name(record.instance))
        if not named[1]:
            record.set_foreign_note(foreign_note=False)
            return
        naming = self._by_note[named]
        naming[record] = None
        # Of more than two, all others are marked already.
        if len(naming) > 2:
            record.set_foreign_note(foreign_note=True)
        else:
            self._mark(named)

    def _unlink(self, key: LocalKey, record: InstanceRecord, before: Instance) -> None:
        named = (key[0], foreign_note_name(before))
        naming = self._by_note.get(named)
        if naming is None:
            return
        del naming[record]
        if not naming:
            del self._by_note[named]
        elif len(naming) == 1:
            self._mark(named)

    def _mark(self, named: LocalKey) -> None:
        """Mark all records whose notes have this name."""
        naming = self._by_note.get(named, {})
        foreign = named in self._records or len(naming) > 1
        for record in naming:
            record.set_foreign_note(foreign_note=foreign)
