"""How much of one host the fleet view holds: what is beyond it is left out, and counted.

Otherwise one host could fill the memory of every gateway, and every reader's lists, with what it
says of itself. What is held stays, so that the lists do not change from one report to the next;
what is left out comes back with the next full inventory that finds room.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import Struct

from shared.contracts.codec import encode
from shared.contracts.instances import InstanceSample

# What a sample takes, and each address, interface and disk in it. There is a new one of every
# instance every few seconds, which encoding all of them would make half as dear again.
SAMPLE_BYTES = 1024
PART_BYTES = 256


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """The most of one host: `instances`, and `size` in bytes of all that it has told, as JSON."""

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

    def __bool__(self) -> bool:
        return bool(self.instances or self.samples or self.images)


NOTHING_LEFT_OUT = LeftOut()


class MemoryUse:
    """The bytes that are held of one host, of those that may be."""

    def __init__(self, size: int) -> None:
        self.left = size

    @property
    def overdrawn(self) -> bool:
        """Whether more is held than may be."""
        return self.left < 0

    def fits(self, size: int) -> bool:
        """Whether there is room for so much more."""
        return size <= self.left

    def take(self, size: int) -> None:
        """Hold so much more; less, if it is negative."""
        self.left -= size


def size_of(told: Struct) -> int:
    """Return the bytes of something that a host told."""
    return len(encode(told))


def size_of_sample(sample: InstanceSample) -> int:
    """Return about how many bytes a sample has."""
    parts = len(sample.addresses) + len(sample.interfaces or ()) + len(sample.block_devices or ())
    return SAMPLE_BYTES + parts * PART_BYTES
