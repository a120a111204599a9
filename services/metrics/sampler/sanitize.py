"""Makes what a guest says fit a sample: what is out of bounds is unknown, and counted by its kind.

Names, addresses and counters inside an instance are its root's to choose, or its agent's. The
contract's bounds are those of a reader, who refuses a whole message for one value beyond them: so
nothing may get into a sample unlooked at. What fits, as nearly everything does, costs a comparison.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from msgspec.structs import asdict

from shared.contracts.bounds import MOST, MOST_DEVICES
from shared.contracts.instances import BlockDevice, MemoryParts

T = TypeVar("T", bound=msgspec.Struct)

# How many values were left out, by reason.
Dropped = Counter[str]

OUT_OF_RANGE = "out_of_range"
TOO_LONG = "too_long"
TOO_MANY = "too_many"
UNREADABLE = "unreadable"
REASONS = (OUT_OF_RANGE, TOO_LONG, TOO_MANY, UNREADABLE)

# Linux has 15 bytes for the name of an interface, 31 for that of a disk; other guests' are longer.
MOST_DEVICE_CHARACTERS = 64
# An IPv6 address with a zone is the longest: 39 characters, `%` and the name of an interface.
MOST_ADDRESS_CHARACTERS = 64
MOST_WORD_CHARACTERS = 16
MOST_UUID_CHARACTERS = 64

# What an instance's sample may be in all, encoded: so much of each list, and 3 kB for all else.
# Then a hundred hostile guests make a sample of less than 2 MB, and it takes a thousand to make one
# that the broker would refuse. 5 kB are some 30 interfaces, 4 kB 40 disks or 40 long addresses.
MOST_INSTANCE_BYTES = 16 << 10
MOST_ADDRESSES = 64
MOST_ADDRESSES_BYTES = 4 << 10
MOST_INTERFACES = 64
MOST_INTERFACES_BYTES = 5 << 10
MOST_BLOCK_DEVICES_BYTES = 4 << 10
# So many are within any of these, however long their names and numbers are.
FEW = 5

_encoder = msgspec.json.Encoder()


def count(number: int | None, dropped: Dropped) -> int | None:
    """Return a count that a sample can hold; None of any other."""
    if number is None or 0 <= number <= MOST:
        return number
    dropped[OUT_OF_RANGE] += 1
    return None


def seconds(number: float | None, dropped: Dropped) -> float | None:
    """Return a time that a sample can hold; None of any other, which NaN and infinity are."""
    if number is None or 0 <= number <= MOST:
        return number
    dropped[OUT_OF_RANGE] += 1
    return None


def memory(parts: MemoryParts, dropped: Dropped) -> MemoryParts:
    """Return the parts that a sample can hold.

    Kernels have told a part that fell below zero as a number of nearly 2^64.
    """
    told = asdict(parts)
    return MemoryParts(**{part: count(number, dropped) for part, number in told.items()})


def block_devices(devices: Sequence[BlockDevice], dropped: Dropped) -> tuple[BlockDevice, ...]:
    """Return as many as a sample can hold; their names and counts must fit already."""
    return first_of(devices, MOST_DEVICES, MOST_BLOCK_DEVICES_BYTES, dropped, lambda _: ())


def fits(value: object, kind: object) -> bool:
    """Whether a sample can hold the value where the contract wants this kind."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def word(text: str, most: int, dropped: Dropped) -> str | None:
    """Return a text with everything that is not printable written as an escape; None if too long.

    Cut off it would be another name or address, which may be somebody's; for the same reason a
    backslash is escaped too. A byte that is no UTF-8 (a lone surrogate) is not printable.
    """
    if not text.isprintable() or "\\" in text:
        text = "".join([_escape(each) for each in text[: most + 1]])
    if len(text) <= most:
        return text
    dropped[TOO_LONG] += 1
    return None


def first_of(
    items: Sequence[T],
    most: int,
    most_bytes: int,
    dropped: Dropped,
    rank: Callable[[T], tuple[bool, ...]],
) -> tuple[T, ...]:
    """Return the items; where they are too many, as many as fit of those of the lowest rank."""
    if len(items) <= FEW or (len(items) <= most and sum(map(_size, items)) <= most_bytes):
        return tuple(items)
    kept: list[T] = []
    for item in sorted(items, key=rank)[:most]:
        most_bytes -= _size(item)
        if most_bytes < 0:
            break
        kept.append(item)
    dropped[TOO_MANY] += len(items) - len(kept)
    return tuple(kept)


def _size(item: msgspec.Struct) -> int:
    return len(_encoder.encode(item)) + len(",")


def _escape(character: str) -> str:
    if character.isprintable() and character != "\\":
        return character
    return character.encode("unicode_escape").decode()
