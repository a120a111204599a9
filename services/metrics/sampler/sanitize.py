"""Fit a guest's values to a sample: drop those out of bounds, and count them by reason.

Root inside an instance, or its agent, chooses its names, addresses and counters. Readers refuse a
whole message for one value beyond the contract's bounds, so every value must be checked. One that
fits, as nearly all do, costs a comparison.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from msgspec.structs import asdict

from shared.contracts.bounds import MOST, MOST_DEVICES
from shared.contracts.samples import BlockDevice, MemoryParts

T = TypeVar("T", bound=msgspec.Struct)

# How many values were dropped, by reason.
Dropped = Counter[str]

OUT_OF_RANGE = "out_of_range"
TOO_LONG = "too_long"
TOO_MANY = "too_many"
UNREADABLE = "unreadable"
REASONS = (OUT_OF_RANGE, TOO_LONG, TOO_MANY, UNREADABLE)

# Linux allows 15 bytes for the name of an interface, 31 for a disk's; other guests allow more.
MOST_DEVICE_CHARACTERS = 64
# The longest is an IPv6 address with a zone: 39 characters, `%` and the name of an interface.
MOST_ADDRESS_CHARACTERS = 64
MOST_WORD_CHARACTERS = 16
MOST_UUID_CHARACTERS = 64

# The most bytes of an encoded sample of an instance: these for the lists, and 3 kB for the rest. So
# a hundred hostile guests make a sample of less than 2 MB, and only a thousand one that the broker
# refuses. 5 kB are some 30 interfaces, 4 kB some 40 disks or long addresses.
MOST_INSTANCE_BYTES = 16 << 10
MOST_ADDRESSES = 64
MOST_ADDRESSES_BYTES = 4 << 10
MOST_INTERFACES = 64
MOST_INTERFACES_BYTES = 5 << 10
MOST_BLOCK_DEVICES_BYTES = 4 << 10
# This many always fit, however long their names and numbers are.
FEW = 5

_encoder = msgspec.json.Encoder()


def count(number: int | None, dropped: Dropped) -> int | None:
    """Return a count if a sample can hold it, else None."""
    if number is None or 0 <= number <= MOST:
        return number
    dropped[OUT_OF_RANGE] += 1
    return None


def seconds(number: float | None, dropped: Dropped) -> float | None:
    """Return a time if a sample can hold it, else None, as for NaN and infinity."""
    if number is None or 0 <= number <= MOST:
        return number
    dropped[OUT_OF_RANGE] += 1
    return None


def memory(parts: MemoryParts, dropped: Dropped) -> MemoryParts:
    """Return the parts that a sample can hold.

    Kernels have reported a part that fell below zero as nearly 2^64.
    """
    numbers = asdict(parts)
    return MemoryParts(**{part: count(number, dropped) for part, number in numbers.items()})


def block_devices(devices: Sequence[BlockDevice], dropped: Dropped) -> tuple[BlockDevice, ...]:
    """Return as many devices as a sample can hold; their names and counts must fit already."""
    return first_of(devices, MOST_DEVICES, MOST_BLOCK_DEVICES_BYTES, dropped, lambda _: ())


def fits(value: object, kind: object) -> bool:
    """Return whether a value fits the contract's type."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def word(text: str, most: int, dropped: Dropped) -> str | None:
    """Return a text with unprintable characters escaped; None if it is too long.

    It is not cut, as the result could be another's name or address; for the same reason backslashes
    are escaped too. Invalid UTF-8 (a lone surrogate) is not printable.
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
    """Return the items; if they are too many, as many as fit, in order of rank."""
    if len(items) <= FEW or (len(items) <= most and sum(map(_size, items)) <= most_bytes):
        return tuple(items)
    result: list[T] = []
    for item in sorted(items, key=rank)[:most]:
        most_bytes -= _size(item)
        if most_bytes < 0:
            break
        result.append(item)
    dropped[TOO_MANY] += len(items) - len(result)
    return tuple(result)


def _size(item: msgspec.Struct) -> int:
    return len(_encoder.encode(item)) + len(",")


def _escape(character: str) -> str:
    if character.isprintable() and character != "\\":
        return character
    return character.encode("unicode_escape").decode()
