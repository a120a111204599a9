"""LXD's lists, read one entry at a time: one that cannot be read costs none of the others.

Nearly always an entry is what it should be and is decoded at once. If not, all of it that is of its
type is read, and the rest is left out and counted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from services.metrics.sampler.lxd_models import DescribedInstance
from shared.contracts.fitting import Unfit, fit, parse

T = TypeVar("T", bound=msgspec.Struct)

# What LXD tells of one instance in more bytes is read without its network, which is what grows:
# root inside can add addresses without end. These are ten thousand.
MOST_INSTANCE_BYTES = 1 << 20

# What is no JSON, no UTF-8, or has numbers or nesting without end.
_GARBAGE = (ValueError, RecursionError)

_UNREADABLE = DescribedInstance(name="", type="", unreadable=1)

_instances = msgspec.json.Decoder(DescribedInstance)


def entries(answer: bytes | msgspec.Raw) -> Sequence[msgspec.Raw]:
    """Return the entries of a JSON list, undecoded.

    Raises ValueError where it is no list, RecursionError where it is nested without end.
    """
    try:
        return msgspec.json.decode(answer, type=list[msgspec.Raw])
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        # The standard library reads what msgspec refuses as a whole: NaN, lone surrogates.
        told = json.loads(bytes(answer).decode(errors="replace"))
        if not isinstance(told, list):
            raise
        return [msgspec.Raw(json.dumps(entry).encode()) for entry in told]


def readable(answer: bytes | msgspec.Raw, kind: type[T]) -> list[T]:
    """Return those entries of a JSON list that are of this kind; raise what `entries` does."""
    found = []
    for entry in entries(answer):
        try:
            found.append(msgspec.json.decode(entry, type=kind))
        except _GARBAGE:
            continue
    return found


def instance_in(entry: bytes | msgspec.Raw) -> DescribedInstance:
    """Return the instance with as much as can be read of it; its name is empty if nothing can."""
    try:
        if len(memoryview(entry)) > MOST_INSTANCE_BYTES:
            return _large(entry)
        return _instances.decode(entry)
    except _GARBAGE:
        return _in_part(bytes(entry))


def _large(entry: bytes | msgspec.Raw) -> DescribedInstance:
    parts = msgspec.json.decode(entry, type=dict[str, msgspec.Raw])
    state = msgspec.json.decode(parts.get("state", b"null"), type=dict[str, msgspec.Raw] | None)
    if not state or "network" not in state:
        return _instances.decode(entry)
    del state["network"]
    parts["state"] = msgspec.Raw(msgspec.json.encode(state))
    described = instance_in(msgspec.json.encode(parts))
    return replace(described, unreadable=described.unreadable + 1)


def _in_part(entry: bytes) -> DescribedInstance:
    try:
        if len(entry) > MOST_INSTANCE_BYTES:
            return _UNREADABLE  # as plain values it would take ten times as much memory
        described, left_out = fit(DescribedInstance, parse(entry))
    except (Unfit, RecursionError):
        return _UNREADABLE
    return replace(described, unreadable=len(left_out))
