"""Which block devices are real disks, so that no byte is counted twice."""

from __future__ import annotations

from pathlib import Path

from services.metrics.sampler.sanitize import MOST_DEVICE_CHARACTERS, Dropped, word

_IN_MEMORY_OR_FILES = ("loop", "ram", "zram")


class RealDisks:
    """Tells a disk from what stands on other disks (LVM, RAID, encryption) or lives in memory.

    What goes through such a device is counted at the disks below it as well. Devices are
    `MAJOR:MINOR`; one that the system does not know is taken for a disk of that name.
    """

    def __init__(self, sys: Path = Path("/sys")) -> None:
        self._sys = sys
        self._looked_at: dict[str, str | None] = {}

    def name(self, device: str) -> str | None:
        """Return a disk's name, None of what is no real one; each is looked at only once."""
        if device not in self._looked_at:
            self._looked_at[device] = self._look_at(device)
        return self._looked_at[device]

    def _look_at(self, device: str) -> str | None:
        place = (self._sys / "dev" / "block" / device).resolve()
        stands_on = place / "slaves"
        in_memory = place.name.startswith(_IN_MEMORY_OR_FILES)
        if in_memory or (stands_on.is_dir() and any(stands_on.iterdir())):
            return None
        return word(place.name, MOST_DEVICE_CHARACTERS, Dropped())
