"""How far a host's events have been read, and whether any is missing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class EventCursor:
    """A reader's place in the numbered events of one producer.

    `complete`: everything up to `sequence` is known. A gap makes it incomplete until the next full
    inventory, and moves the cursor all the same, so that what comes late is known to be old.
    """

    epoch: int = 0
    sequence: int = 0
    complete: bool = False

    def enter(self, epoch: int) -> bool:
        """Begin a newer epoch; return whether it is one."""
        if epoch <= self.epoch:
            return False
        self.epoch, self.sequence, self.complete = epoch, 0, False
        return True

    def take(self, sequence: int) -> bool:
        """Move to an event of this epoch; return whether it is new."""
        if sequence <= self.sequence:
            return False
        self.notice(sequence - 1)
        self.sequence = sequence
        return True

    def notice(self, sequence: int) -> None:
        """Learn that events up to this number have been published."""
        self.complete = self.complete and sequence <= self.sequence

    def take_everything(self, sequence: int) -> bool:
        """Move to a full inventory of this epoch; return whether it is new."""
        if sequence <= self.sequence:
            return False
        self.sequence, self.complete = sequence, True
        return True
