"""The memory budget of one host in the fleet view: what exceeds it is left out, and counted.

Otherwise one host could fill the memory of every gateway, and every list, with its own reports.
What is held stays, so that lists do not change from one report to the next; what is left out comes
back with the next full inventory that fits.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import Struct

from shared.contracts.codec import encode


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """The limits of one host: `instances`, and `size` in bytes of everything reported, as JSON."""

    instances: int = 2000
    size: int = 16 * 2**20


DEFAULT = MemoryBudget()


class LeftOut(Struct, frozen=True, kw_only=True):
    """How much of what a host reported is beyond its limit, and not shown.

    该主机上报、但超出每主机上限而未显示的数量。
    """

    instances: int = 0
    # Of instances that are held.
    samples: int = 0
    # Its own and those of image servers.
    images: int = 0
    # How instances are protected by snapshot policies.
    protections: int = 0

    def __bool__(self) -> bool:
        return bool(self.instances or self.samples or self.images or self.protections)


NOTHING_LEFT_OUT = LeftOut()


class MemoryUse:
    """The bytes still available of one host's budget."""

    def __init__(self, size: int) -> None:
        self.available = size

    @property
    def exceeded(self) -> bool:
        """Whether more is used than the budget allows."""
        return self.available < 0

    def fits(self, size: int) -> bool:
        """Whether so many more bytes fit."""
        return size <= self.available

    def add(self, size: int) -> None:
        """Use so many more bytes; release them, if negative."""
        self.available -= size


def size_of(struct: Struct) -> int:
    """Return the size of a report in bytes."""
    return len(encode(struct))
