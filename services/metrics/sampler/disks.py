"""Tell physical disks from other block devices, so that no byte is counted twice."""

from __future__ import annotations

from pathlib import Path

from services.metrics.sampler.sanitize import MOST_DEVICE_CHARACTERS, Dropped, word

_IN_MEMORY_OR_FILES = ("loop", "ram", "zram")


class RealDisks:
    """The disks of this machine, without devices on top of others (LVM, RAID, encryption).

    Traffic of those is counted at the disks below as well. Devices are `MAJOR:MINOR`; one that the
    system does not list counts as a disk of that name.
    """

    def __init__(self, sys: Path = Path("/sys")) -> None:
        self._sys = sys
        self._names: dict[str, str | None] = {}

    def name(self, device: str) -> str | None:
        """Return a disk's name, None for other devices; the result is cached."""
        if device not in self._names:
            self._names[device] = self._read_name(device)
        return self._names[device]

    def _read_name(self, device: str) -> str | None:
        path = (self._sys / "dev" / "block" / device).resolve()
        slaves = path / "slaves"
        in_memory = path.name.startswith(_IN_MEMORY_OR_FILES)
        if in_memory or (slaves.is_dir() and any(slaves.iterdir())):
            return None
        return word(path.name, MOST_DEVICE_CHARACTERS, Dropped())
