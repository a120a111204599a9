"""Decode LXD's JSON: all of it that is as it should be, when not all of it is.

Nearly every answer is decoded at once. Of any other the values of the right type are decoded, and
the rest is left out: one value that no release of LXD writes must not hide the others.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

import msgspec

from shared.contracts.sanitizer import Unfit, fit, parse
from shared.lxd.errors import UnreadableAnswer

T = TypeVar("T")

# What msgspec does not decode: no JSON, no UTF-8, other types, numbers or nesting without end.
UNREADABLE = (ValueError, RecursionError)


class Partial(NamedTuple, Generic[T]):
    """A value of the type asked for, the dotted places of what is left out, the plain JSON."""

    value: T
    left_out: tuple[str, ...]
    plain: object


def decode_in_part(body: bytes, kind: type[T], most_bytes: int) -> Partial[T]:
    """Decode what can be decoded of a body that is not as it should be.

    Raises UnreadableAnswer where that is nothing, or the body is longer than `most_bytes`: it is
    made plain values of, which take ten times as much memory.
    """
    if len(body) > most_bytes:
        raise UnreadableAnswer(f"more than {most_bytes} bytes, and not as they should be")
    try:
        plain = parse(body)
        return Partial(*fit(kind, plain), plain)
    except (Unfit, RecursionError) as exc:
        raise UnreadableAnswer(str(exc)) from exc


def entries(body: bytes | msgspec.Raw) -> Sequence[msgspec.Raw]:
    """Return the entries of a JSON list, undecoded; raise UnreadableAnswer where it is no list."""
    try:
        return msgspec.json.decode(body, type=list[msgspec.Raw])
    except UNREADABLE as exc:
        # The standard library reads what msgspec refuses as a whole: NaN, lone surrogates.
        try:
            listed = json.loads(bytes(body).decode(errors="replace"))
        except UNREADABLE:
            listed = None
        if not isinstance(listed, list):
            raise UnreadableAnswer(str(exc)) from exc
        return [msgspec.Raw(json.dumps(entry).encode()) for entry in listed]


def readable_entries(body: bytes | msgspec.Raw, kind: type[T]) -> list[T]:
    """Return those entries of a JSON list that are of this kind; raise what `entries` does."""
    found = []
    for entry in entries(body):
        try:
            found.append(msgspec.json.decode(entry, type=kind))
        except UNREADABLE:
            continue
    return found
