"""The position in a host's numbered events, and whether any is missing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class EventCursor:
    """A reader's position in the numbered events of one producer.

    `complete`: every event up to `sequence` was applied. A gap makes it incomplete until the next
    full inventory, but moves the cursor all the same, so that late events are recognized as old.
    """

    epoch: int = 0
    sequence: int = 0
    complete: bool = False

    def start_epoch(self, epoch: int) -> bool:
        """Start a newer epoch; return whether it is newer."""
        if epoch <= self.epoch:
            return False
        self.epoch, self.sequence, self.complete = epoch, 0, False
        return True

    def advance(self, sequence: int) -> bool:
        """Advance to an event of this epoch; return whether it is new."""
        if sequence <= self.sequence:
            return False
        self.record_published(sequence - 1)
        self.sequence = sequence
        return True

    def record_published(self, sequence: int) -> None:
        """Record that events up to this number have been published."""
        self.complete = self.complete and sequence <= self.sequence

    def advance_to_inventory(self, sequence: int) -> bool:
        """Advance to a full inventory of this epoch; return whether it is new."""
        if sequence <= self.sequence:
            return False
        self.sequence, self.complete = sequence, True
        return True
