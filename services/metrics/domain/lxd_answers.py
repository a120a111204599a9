"""LXD's lists, read one entry at a time: one that cannot be read costs none of the others.

Nearly always an entry is what it should be and is decoded at once. If not, all of it that is of its
type is read, and the rest is left out and counted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin

import msgspec
from msgspec.structs import fields, replace

from services.metrics.domain.described import DescribedInstance

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
            return _without_network(entry)
        return _instances.decode(entry)
    except _GARBAGE:
        return _in_part(bytes(entry))


def in_part(value: Any, kind: Any) -> tuple[Any, int]:
    """Return a JSON value as of this kind, and how many parts of it had to be left out.

    Raises MsgspecError where nothing of that kind remains.
    """
    try:
        return msgspec.convert(value, kind), 0
    except msgspec.ValidationError:
        kind = _without_none(kind)
        if isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            types = {field.encode_name: field.type for field in fields(kind)}
            known = {name: each for name, each in value.items() if name in types}
            kept, left_out = _kept(known.items(), types.__getitem__)
            return msgspec.convert(kept, kind), left_out
        if isinstance(value, dict) and get_origin(kind) is dict:
            kept, left_out = _kept(value.items(), lambda _: get_args(kind)[1])
            return msgspec.convert(kept, kind), left_out
        if isinstance(value, list) and get_origin(kind) is tuple:
            kept, left_out = _kept(enumerate(value), lambda _: get_args(kind)[0])
            return msgspec.convert(tuple(kept.values()), kind), left_out
        raise


def _kept(
    items: Iterable[tuple[Any, Any]], kind_of: Callable[[Any], Any]
) -> tuple[dict[Any, Any], int]:
    kept, left_out = {}, 0
    for name, value in items:
        try:
            kept[name], missing = in_part(value, kind_of(name))
        except msgspec.ValidationError:
            missing = 1
        left_out += missing
    return kept, left_out


def _without_none(kind: Any) -> Any:
    if get_origin(kind) is UnionType:
        return next(one for one in get_args(kind) if one is not NoneType)
    return kind


def _in_part(entry: bytes) -> DescribedInstance:
    try:
        described, left_out = in_part(json.loads(entry.decode(errors="replace")), DescribedInstance)
    except _GARBAGE:
        return _UNREADABLE
    return replace(described, unreadable=left_out)  # type: ignore[no-any-return]


def _without_network(entry: bytes | msgspec.Raw) -> DescribedInstance:
    parts = msgspec.json.decode(entry, type=dict[str, msgspec.Raw])
    state = msgspec.json.decode(parts["state"], type=dict[str, msgspec.Raw])
    del state["network"]
    parts["state"] = msgspec.Raw(msgspec.json.encode(state))
    return replace(_instances.decode(msgspec.json.encode(parts)), unreadable=1)
