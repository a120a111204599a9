"""Draws messages at random: every value that a contract allows, the odd ones above all."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, TypeVar

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

T = TypeVar("T")
Drawn = st.SearchStrategy[Any]

# What makes trouble in texts, labels, headers and dates.
ODD_TEXTS = (
    "",
    "\x00",
    'a"b\\c\nd\re\tf',
    "\u202eevil\u2066",
    "\u2028\u2029\x85\x1b[31m",
    "\N{PILE OF POO}" * 3,
    "{0} {name} %s {",
    "nan",
    "inf",
    "1e400",
    "-1",
    "9" * 200,
    "0-999999999,5-",
    "9999-12-31T23:59:59.999999999Z",
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59",
    "2026-06-30T23:59:60Z",
    "tcp:[::]:1-65535",
    "a/b/../c",
    "h1:web",
    "web 22 password 1 2",
)
ODD_INTEGERS = (0, 1, 2**31, 2**53 + 1, 2**63 - 1)
MOST_ENTRIES = 3


def any_of(kind: type[T]) -> st.SearchStrategy[T]:
    """Return a strategy for every message of a kind that its contract allows."""
    return _of(inspect.type_info(kind))


@cache
def _text(pattern: str | None, shortest: int, longest: int | None) -> st.SearchStrategy[str]:
    most = min(longest or 300, 300)
    if pattern is not None:
        return st.from_regex(pattern).filter(lambda text: len(text) <= most)
    odd = [text for text in ODD_TEXTS if shortest <= len(text) <= most]
    free = st.text(min_size=shortest, max_size=most)
    return st.sampled_from(odd) | free if odd else free


def _integer(info: inspect.IntType) -> Drawn:
    low = info.ge if info.ge is not None else -(2**63)
    high = info.le if info.le is not None else 2**63 - 1
    odd = [low, high, *(number for number in ODD_INTEGERS if low <= number <= high)]
    return st.sampled_from(odd) | st.integers(low, high)


def _float(info: inspect.FloatType) -> Drawn:
    low = None if info.ge is None else float(info.ge)
    high = None if info.le is None else float(info.le)
    return st.floats(low, high, allow_nan=False, allow_infinity=False)


def _struct(info: inspect.StructType) -> Drawn:
    fields = {
        field.name: _of(field.type) if field.required else _default_or(field)
        for field in info.fields
        if field.name != "version"
    }
    return st.builds(info.cls, **fields)


def _default_or(field: inspect.Field) -> Drawn:
    if field.default is msgspec.NODEFAULT:
        return st.builds(field.default_factory) | _of(field.type)
    return st.just(field.default) | _of(field.type)


def _sized(info: inspect.ListType | inspect.VarTupleType) -> Drawn:
    most = min(info.max_length or MOST_ENTRIES, MOST_ENTRIES)
    drawn = st.lists(_of(info.item_type), min_size=info.min_length or 0, max_size=most)
    return drawn if isinstance(info, inspect.ListType) else drawn.map(tuple)


def _of(info: inspect.Type) -> Drawn:  # noqa: C901 - one line for each type that contracts use
    match info:
        case inspect.StructType():
            return st.deferred(lambda: _struct(info))
        case inspect.Metadata():
            return _of(info.type)
        case inspect.UnionType():
            return st.one_of(*map(_of, info.types))
        case inspect.IntType():
            return _integer(info)
        case inspect.FloatType():
            return _float(info)
        case inspect.StrType():
            return _text(info.pattern, info.min_length or 0, info.max_length)
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.EnumType():
            return st.sampled_from(list(info.cls))
        case inspect.LiteralType():
            return st.sampled_from(info.values)
        case inspect.ListType() | inspect.VarTupleType():
            return _sized(info)
        case inspect.DictType():
            return st.dictionaries(_of(info.key_type), _of(info.value_type), max_size=MOST_ENTRIES)
    raise TypeError(f"no contract uses {re.escape(str(info))}")
